//! `cargo xtask faults`: builds all that the fault harness needs, then runs it.

use std::process::{Command, ExitCode};

use wiber_servers::progress::Progress;

use crate::repository::Repository;
use crate::{build, cargo};

/// The harness, which reads the rest of the command line itself.
const PROGRAM: &str = "wiber-faults";

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on to the harness; --help shows its options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    harness: Vec<String>,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    build::with_servers(repository, &progress).await?;
    if arguments.harness.iter().any(|argument| argument == "--mutants") {
        build::mutants(repository, &progress).await?;
    }
    harness(repository, &arguments.harness)
}

/// Runs the harness with these arguments; everything it needs is built.
pub(crate) fn harness(repository: &Repository, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut harness = Command::new(repository.programs().join(PROGRAM));
    harness.args(arguments).current_dir(repository.root()).env("WIBER_BIN_DIR", repository.programs());
    harness.env("WIBER_MUTANT_DIR", repository.mutants());
    cargo::show(harness)?;
    Ok(ExitCode::SUCCESS)
}
