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
mod gate;
mod host;
mod outbound;
mod pool;
mod problem;
mod server;
mod sqlite;
mod stdio;
mod worker;

pub use args::Args;
pub use error::Error;
pub use host::Host;
pub use sqlite::EXIT_DISK;

/// Starts logging on stderr: text on a terminal, JSON lines elsewhere. `RUST_LOG` filters; the default is `info`.
pub fn start_logging() {
    use std::io::{IsTerminal, stderr};

    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;

    let filter = std::env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if stderr().is_terminal() {
        registry.with(lines).init();
    } else {
        registry.with(lines.json().flatten_event(true).with_current_span(false)).init();
    }
}
