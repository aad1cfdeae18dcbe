//! `cargo xtask build`: the components for Wasm, the host and the bridge for this machine.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use wiber_servers::progress::Progress;

use crate::repository::Repository;
use crate::{cargo, needs};

/// Each is the package `wiber-<name>`, and `<name>.wasm` in spin.toml.
const COMPONENTS: [&str; 4] = ["send", "fetch", "outbox", "status"];
/// The same, as cargo is told.
pub(crate) const COMPONENT_PACKAGES: [&str; 4] =
    ["--package=wiber-send", "--package=wiber-fetch", "--package=wiber-outbox", "--package=wiber-status"];
pub(crate) const WASM_TARGET: &str = "--target=wasm32-wasip2";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Build only the functions
    #[arg(long)]
    functions: bool,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    functions(repository, &progress).await?;
    if !arguments.functions {
        programs(repository, &progress).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the components and copies them to where spin.toml names them.
pub(crate) async fn functions(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    needs::wasm_target(repository.root())?;
    let task = progress.task("Building the functions");
    let arguments = [&["build", "--release", WASM_TARGET], &COMPONENT_PACKAGES[..]].concat();
    cargo::watched(repository.root(), &task, &arguments).await?;
    let built = repository.target().join("wasm32-wasip2/release");
    let components = repository.components();
    fs::create_dir_all(&components).with_context(|| format!("cannot create {}", components.display()))?;
    for name in COMPONENTS {
        let from = built.join(format!("wiber_{name}.wasm"));
        install(&from, &components.join(format!("{name}.wasm")))?;
    }
    task.done("target/components");
    Ok(())
}

/// Builds the host, the bridge and the command, with the features that they have when all packages are tested: cargo then compiles
/// their dependencies once for all.
pub(crate) async fn programs(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    needs::native()?;
    let task = progress.task("Building host and bridge");
    let programs = ["build", "--bin=wiber-host", "--bin=wiber-bridge", "--bin=wiber", "--bin=wiber-faults"];
    cargo::watched(repository.root(), &task, &programs).await?;
    task.done("development profile");
    Ok(())
}

/// Replaces `to` at once, since a host may be reading it, and only if it differs: a new date would make Spin build again.
fn install(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let part = to.with_extension("wasm.part");
    fs::write(&part, new).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}
