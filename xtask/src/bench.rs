//! `cargo xtask bench`: builds everything for release, then runs the benchmark.

use std::process::{Command, ExitCode};

use wiber_servers::progress::Progress;
use wiber_servers::tools;

use crate::repository::Repository;
use crate::{build, cargo};

/// The benchmark, which reads the rest of the command line itself.
const PROGRAM: &str = "wiber-bench";

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on to the benchmark; --help shows its options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    benchmark: Vec<String>,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let cache = tools::default_cache();
    let servers = async { anyhow::Ok(tools::ensure(&cache, &progress).await?) };
    let builds = async {
        build::functions(repository, &progress).await?;
        build::for_release(repository, &progress).await
    };
    tokio::try_join!(servers, builds)?;
    let programs = repository.release_programs();
    let mut benchmark = Command::new(programs.join(PROGRAM));
    benchmark.args(arguments.benchmark).current_dir(repository.root()).env("WIBER_BIN_DIR", programs);
    cargo::show(benchmark)?;
    Ok(ExitCode::SUCCESS)
}
