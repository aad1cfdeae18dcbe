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
    /// wasmtime refuses its settings, or the cache folder cannot be used.
    #[error("cannot set up wasmtime with its cache in {cache}")]
    Engine {
        /// The cache folder.
        cache: String,
        /// wasmtime's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A component cannot be read, compiled, linked or instantiated.
    #[error("component {component} cannot be loaded from {path}")]
    Component {
        /// The component's name in the manifest.
        component: String,
        /// Its file.
        path: String,
        /// wasmtime's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task of the host panicked: a defect.
    #[error("a worker ended unexpectedly")]
    Worker(#[source] tokio::task::JoinError),
}
