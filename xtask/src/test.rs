//! `cargo xtask test`: sets up all that the tests need, then runs every test.

use std::process::ExitCode;

use wiber_servers::progress::Progress;

use crate::repository::Repository;
use crate::{budgets, build, cargo, faults};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed to the test programs, such as a filter
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    build::with_servers(repository, &Progress::new()).await?;
    let mut tests = cargo::command(repository.root());
    tests.args(["test", "--no-fail-fast"]).env("WIBER_BIN_DIR", repository.programs());
    let filtered = !arguments.runner.is_empty();
    tests.arg("--").args(arguments.runner);
    cargo::show(tests)?;
    if filtered {
        return Ok(ExitCode::SUCCESS);
    }
    budgets::run(repository)?;
    // A short run of the fault harness, the rest of which is `cargo xtask faults`.
    faults::harness(repository, &["--short".to_owned()])
}
