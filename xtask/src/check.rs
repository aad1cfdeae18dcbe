//! `cargo xtask check`: formatting, lints, dependencies, and the tree's own rules.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use crate::build::{COMPONENT_PACKAGES, WASM_TARGET};
use crate::repository::Repository;
use crate::{cargo, deny, needs, tidy};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave the dependencies' licences and sources out, for which cargo-deny must be built once
    #[arg(long)]
    no_deny: bool,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    needs::native()?;
    needs::wasm_target(repository.root())?;
    let root = repository.root();
    // All of them run, so that one look shows all that is wrong.
    let mut failures = Vec::new();
    let mut note = |outcome: anyhow::Result<()>| failures.extend(outcome.err());
    note(tidy::check(root));
    note(cargo::shown(root, &["fmt", "--all", "--check"]));
    note(cargo::shown(root, &["clippy", "--all-targets", "--", "--deny=warnings"]));
    note(clippy_for_wasm(root));
    if !arguments.no_deny {
        note(deny::check(repository).await);
    }
    if failures.is_empty() {
        eprintln!("check: all good");
        return Ok(ExitCode::SUCCESS);
    }
    let failures: Vec<_> = failures.iter().map(|failure| format!("\n  - {failure:#}")).collect();
    bail!("check found problems:{}", failures.concat())
}

/// The components, and the one that the host's tests run.
fn clippy_for_wasm(root: &Path) -> anyhow::Result<()> {
    let packages = [&COMPONENT_PACKAGES[..], &["--package=wiber-host-probe", "--package=wiber-bare"]].concat();
    cargo::shown(root, &[&["clippy", WASM_TARGET], &packages[..], &["--", "--deny=warnings"]].concat())
}
