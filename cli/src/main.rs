//! `wiber`: what an operator asks of a running system. `wiber verify` compares outboxes, Kafka and MongoDB; `wiber
//! dead-letters` lists, shows and replays what could not be stored.
//!
//! Entry points: [`verify::run`], [`dead_letters::run`]. Settings, Kafka's and MongoDB's clients are the bridge's. Nothing
//! here takes part in the path of a message: no group is joined, no lease is taken, and only a replay writes.

mod args;
mod dead_letters;
mod settings;
mod table;
mod topic;
mod verify;
mod when;

use std::process::ExitCode;

use wiber_bridge::report::Chain;

use crate::args::{Action, Cli};

/// Differences were found, or not everything that was asked for could be done.
const DIFFERENCES: u8 = 1;
/// The command could not run.
const CANNOT_RUN: u8 = 2;

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is as it should be.
    Clean,
    /// Something is not.
    Differences,
}

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let outcome = Cli::read(&matches).and_then(|cli| {
        let config = settings::read(matches)?;
        // The MongoDB driver and the HTTP client bring no cryptography of their own. Err: one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new()?;
        let outcome = runtime.block_on(async {
            match cli.action {
                Action::Verify(arguments) => verify::run(&config, &arguments, cli.json).await,
                Action::DeadLetters(command) => dead_letters::run(&config, command, cli.json).await,
            }
        });
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Differences) => ExitCode::from(DIFFERENCES),
        Err(error) => {
            eprintln!("wiber: {}", Chain(error.as_ref()));
            ExitCode::from(CANNOT_RUN)
        }
    }
}
