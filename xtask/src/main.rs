//! Every developer command: `cargo xtask up`, `test`, `faults`, `bench`, `budgets`, `check`, `build`.
//!
//! Entry point: [`main`]. It must start quickly, so it links neither wasmtime nor a Kafka or MongoDB client; the host and
//! the bridge are programs that it builds and runs.

mod bench;
mod budgets;
mod build;
mod cargo;
mod check;
mod deny;
mod faults;
mod needs;
mod repository;
mod test;
mod tidy;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use repository::Repository;

/// Every developer command of Wiber.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build everything, get and start Kafka and MongoDB, and serve until Ctrl-C
    Up(up::Arguments),
    /// Set everything up and run every test
    Test(test::Arguments),
    /// Inject faults under load and prove that nothing acknowledged is lost
    Faults(faults::Arguments),
    /// Measure everything on this machine, beside its goals and its limits
    Bench(bench::Arguments),
    /// Count the instructions and allocations of hot code, which must stay within their budgets
    Budgets,
    /// Check formatting, lints, dependencies and the tree's own rules
    Check(check::Arguments),
    /// Build the functions, the host and the bridge
    Build(build::Arguments),
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(run(command));
    // Whatever was given up on Ctrl-C is not waited for.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| failed(&error))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let repository = Repository::find()?;
    match command {
        Command::Up(arguments) => up::run(&repository, arguments).await,
        Command::Test(arguments) => test::run(&repository, arguments).await,
        Command::Faults(arguments) => faults::run(&repository, arguments).await,
        Command::Bench(arguments) => bench::run(&repository, arguments).await,
        Command::Budgets => budgets::run(&repository),
        Command::Check(arguments) => check::run(&repository, arguments).await,
        Command::Build(arguments) => build::run(&repository, arguments).await,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
