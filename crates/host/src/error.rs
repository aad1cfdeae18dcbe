//! Why the host does not start, or stops.

use std::net::SocketAddr;

/// Why the host does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Manifest, runtime configuration or variables are not valid; every problem is listed.
    #[error("the configuration is not valid:{}", .0.iter().map(|problem| format!("\n- {problem}")).collect::<String>())]
    Config(Vec<String>),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A component, or wasmtime itself, cannot be loaded.
    #[error("cannot load {what}")]
    Load {
        /// The component and its file, or wasmtime and its cache folder.
        what: String,
        /// wasmtime's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task of the host panicked: a defect.
    #[error("a worker ended unexpectedly")]
    Worker(#[source] tokio::task::JoinError),
}
