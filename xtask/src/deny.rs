//! cargo-deny: which dependencies, licences and sources are allowed.
//!
//! Advisories are left out: their database is a git repository and no package, and a check must not depend on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use wiber_servers::progress::Progress;
use wiber_servers::{command, tools};

use crate::cargo;
use crate::repository::Repository;

const VERSION: &str = "0.20.2";

pub(crate) async fn check(repository: &Repository) -> anyhow::Result<()> {
    let program = program(repository.root()).await?;
    let mut deny = Command::new(program);
    deny.args(["--workspace", "check", "bans", "licenses", "sources"]).current_dir(repository.root());
    cargo::show(deny)
}

/// The program in the cache, built once.
async fn program(root: &Path) -> anyhow::Result<PathBuf> {
    let name = format!("cargo-deny-{VERSION}");
    let folder = tools::default_cache().join(&name);
    let program = folder.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let task = Progress::new().task(format!("Building cargo-deny {VERSION}"));
    let building = folder.with_extension("build");
    let mut install = cargo::command(root);
    // The development profile: it is built for minutes and runs for seconds.
    install.args(["install", "--locked", "--debug", "--version", VERSION, "cargo-deny", "--root"]).arg(&folder);
    install.arg("--target-dir").arg(&building).env("CARGO_PROFILE_DEV_DEBUG", "0");
    let watch = |line: &str| task.now(line.trim());
    command::run("building cargo-deny, which checks licences and sources", "cargo install", install, watch).await?;
    fs::remove_dir_all(&building).with_context(|| format!("cannot remove {}", building.display()))?;
    task.done("kept in the cache");
    Ok(program)
}
