//! `wiber-bridge`: settings, logging, build, run, drain, exit code (0 stopped in order, 1 failed, 2 bad settings).

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wiber_bridge::app::App;
use wiber_bridge::config::{Config, Process};
use wiber_bridge::report::Chain;
use wiber_bridge::signals::Signals;
use wiber_bridge::telemetry::start_logging;

/// For librdkafka too. What some forty threads take at one time or another, glibc keeps.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How it behaves (jemalloc(3), TUNING): memory goes back a second after it was last used, also while nothing happens.
#[allow(unsafe_code, reason = "the name is jemalloc's, which reads it as a string of C")]
#[unsafe(export_name = "malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 70] = b"background_thread:true,narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

const FAILED: u8 = 1;
const BAD_SETTINGS: u8 = 2;
/// What blocking calls into client libraries may take after everything else has ended.
const LEFTOVERS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let config = match Config::read(&Process::from_args()) {
        Ok(config) => config,
        Err(invalid) => {
            eprintln!("wiber-bridge: {invalid}");
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    start_logging(&config.log);
    // The HTTP client and the MongoDB driver bring no cryptography of their own. Err: one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "starting the runtime");
            return ExitCode::from(FAILED);
        }
    };
    let outcome = runtime.block_on(run(config));
    runtime.shutdown_timeout(LEFTOVERS);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(error.as_ref()), "wiber-bridge failed");
            ExitCode::from(FAILED)
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?config, "starting");
    let shutdown = CancellationToken::new();
    let signals = Signals::catch()?;
    let stop = shutdown.clone();
    let work = async move {
        // A name server that does not answer can hold it up.
        match stop.run_until_cancelled(App::build(config)).await {
            Some(app) => Ok(app?.run(stop).await?),
            None => Ok(()),
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = signals.forward(shutdown) => Ok(()),
    }
}
