//! The embedded host: serves the components of a `spin.toml` on wasmtime, as Spin would, with just the interfaces that
//! Wiber's functions import: `wasi:http` 0.3, WASI 0.2 and 0.3, `spin:sqlite`, `spin:variables`.
//!
//! Entry points: [`Args`], [`Host::start`], [`Host::run`]. The way of a request: `server` → `routes` → `pool` → `worker`
//! (one warm instance of the component) and back. What a component may do is decided once, in `app`, from the manifest.
//!
//! It must not know what the components are for: no message, no topic, no path of Wiber's API appears here.

mod app;
mod args;
mod bindings;
mod body;
mod engine;
mod error;
mod host;
mod instance;
mod outbound;
mod pool;
mod problem;
mod server;
mod sqlite;
mod stdio;
mod variables;
mod worker;

pub use args::Args;
pub use error::Error;
pub use host::Host;
pub use sqlite::EXIT_DISK;

/// Sets up logging on stderr: text on a terminal, JSON lines elsewhere. `RUST_LOG` filters; the default is `info`.
pub fn telemetry() {
    use std::io::IsTerminal;

    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::{fmt, prelude::*};

    let filter = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second set-up in one process, as in tests, changes nothing.
    let _ = if std::io::stderr().is_terminal() { registry.with(lines).try_init() } else { registry.with(lines.json()).try_init() };
}
