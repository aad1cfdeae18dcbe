//! The embedded host's program: reads the flags, serves until SIGTERM or SIGINT, and drains. Exit codes: 0 after a
//! signal, 1 when it could not start or a part of it failed, 2 for a bad configuration, 74 ([`wiber_host::EXIT_DISK`]).

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wiber_host::{Args, Error, Host};

/// Requests cross threads, and each leaves dozens of small pieces behind in another thread than that which made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    wiber_host::start_logging();
    let outcome = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(serve(args));
        // What is left after the deadline is not waited for.
        runtime.shutdown_background();
        outcome
    });
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    tracing::error!("{error:#}");
    if matches!(error.downcast_ref(), Some(Error::Config(_))) { ExitCode::from(2) } else { ExitCode::FAILURE }
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let shutdown = shutdown_signal()?;
    let host = tokio::select! {
        host = Host::start(args) => host?,
        () = shutdown.cancelled() => return Ok(()),
    };
    writeln!(std::io::stdout(), "listening on http://{}", host.address())?;
    Ok(host.run(shutdown).await?)
}

/// Cancelled by the first SIGTERM or SIGINT; the second ends the process at once.
fn shutdown_signal() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        loop {
            let number = tokio::select! { _ = terminate.recv() => 15, _ = interrupt.recv() => 2 };
            if shutdown.is_cancelled() {
                std::process::exit(128 + number);
            }
            tracing::info!("shutting down");
            shutdown.cancel();
        }
    });
    Ok(token)
}
