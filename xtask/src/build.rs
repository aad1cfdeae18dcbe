//! `cargo xtask build`: the components for Wasm; the host, the bridge, the command and the fault harness for this machine.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use wiber_servers::progress::Progress;
use wiber_servers::tools;

use crate::repository::Repository;
use crate::{cargo, needs};

/// Each is the package `wiber-<name>`, and `<name>.wasm` in spin.toml.
const COMPONENTS: [&str; 4] = ["send", "fetch", "outbox", "status"];
/// The same, as cargo is told.
pub(crate) const COMPONENT_PACKAGES: [&str; 4] =
    ["--package=wiber-send", "--package=wiber-fetch", "--package=wiber-outbox", "--package=wiber-status"];
/// Seeded bugs of *send*, each the feature `mutant-<name>` of wiber-database.
const SEND_MUTANTS: [&str; 2] = ["early-answer", "synchronous-normal"];
pub(crate) const WASM_TARGET: &str = "--target=wasm32-wasip2";
/// What the components are built with.
const PROFILE: &str = "--profile=functions";
/// Where they are then, in the target folder.
const BUILT: &str = "wasm32-wasip2/functions";

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
    let arguments = [&["build", PROFILE, WASM_TARGET], &COMPONENT_PACKAGES[..]].concat();
    cargo::watched(repository.root(), &task, &arguments).await?;
    let built = repository.target().join(BUILT);
    let components = repository.components();
    fs::create_dir_all(&components).with_context(|| format!("cannot create {}", components.display()))?;
    for name in COMPONENTS {
        let from = built.join(format!("wiber_{name}.wasm"));
        install(&from, &components.join(format!("{name}.wasm")))?;
    }
    task.done("target/components");
    Ok(())
}

/// Gets the servers' programs, and builds all that tests run meanwhile.
pub(crate) async fn with_servers(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    let cache = tools::default_cache();
    let servers = async { anyhow::Ok(tools::ensure(&cache, progress).await?) };
    let builds = async {
        functions(repository, progress).await?;
        programs(repository, progress).await
    };
    tokio::try_join!(servers, builds)?;
    Ok(())
}

/// Builds the programs for this machine, with the features that they have when all packages are tested: cargo then
/// compiles their dependencies once for all.
pub(crate) async fn programs(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    needs::native()?;
    let task = progress.task("Building the programs");
    let programs = ["build", "--bin=wiber-host", "--bin=wiber-bridge", "--bin=wiber", "--bin=wiber-faults"];
    cargo::watched(repository.root(), &task, &programs).await?;
    task.done("development profile");
    Ok(())
}

/// Builds what is measured, and what measures it.
pub(crate) async fn for_release(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    needs::native()?;
    let task = progress.task("Building the bare handler");
    cargo::watched(repository.root(), &task, &["build", PROFILE, WASM_TARGET, "--package=wiber-bare"]).await?;
    install(&repository.target().join(BUILT).join("wiber_bare.wasm"), &repository.components().join("bare.wasm"))?;
    task.done("target/components");
    let task = progress.task("Building for release");
    let programs = ["build", "--release", "--bin=wiber-host", "--bin=wiber-bridge", "--bin=wiber-bench"];
    cargo::watched(repository.root(), &task, &programs).await?;
    task.done("release profile");
    Ok(())
}

/// Builds what has seeded bugs, beside what has none: the bridge with all of its own, *send* once for each of its own.
pub(crate) async fn mutants(repository: &Repository, progress: &Progress) -> anyhow::Result<()> {
    let task = progress.task("Building seeded bugs");
    let folder = repository.mutants();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in SEND_MUTANTS {
        let feature = format!("--features=wiber-database/mutant-{name}");
        let arguments = ["build", PROFILE, WASM_TARGET, "--package=wiber-send", &feature];
        cargo::watched(repository.root(), &task, &arguments).await?;
        let built = repository.target().join(BUILT).join("wiber_send.wasm");
        install(&built, &folder.join(format!("send-{name}.wasm")))?;
    }
    let bridge = ["build", "--bin=wiber-bridge", "--features=wiber-bridge/mutants"];
    cargo::watched(repository.root(), &task, &bridge).await?;
    install(&repository.programs().join("wiber-bridge"), &folder.join("wiber-bridge"))?;
    // Put back what belongs there.
    programs(repository, progress).await?;
    functions(repository, progress).await?;
    task.done("target/mutants");
    Ok(())
}

/// Replaces `to` at once, since a host may be reading it, and only if it differs: a new date would make Spin build again.
fn install(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let part = to.with_extension("wasm.part");
    // With its permissions, which a program needs.
    fs::copy(from, &part).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}
