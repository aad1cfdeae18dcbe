//! Every setting of the host, with its default and its unit.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Runs a spin.toml and its components on wasmtime, as `spin up` would.
///
/// Application variables come from the environment: SPIN_VARIABLE_<NAME>. RUST_LOG filters the log on stderr (default
/// info). Exit codes: 0 after SIGTERM or SIGINT, 1 failed start, 2 bad configuration, 74 the disk under a database
/// failed.
#[derive(Debug, Clone, Parser)]
#[command(name = "wiber-host", version, max_term_width = 110)]
pub struct Args {
    /// The application's manifest
    #[arg(short = 'f', long, value_name = "FILE", default_value = "spin.toml")]
    pub manifest: PathBuf,

    /// Where the databases lie: [sqlite_database.<label>] type = "spin", path = "…" (relative to the current folder, as
    /// in Spin); a component that uses a label without an entry here is refused
    #[arg(long, value_name = "FILE")]
    pub runtime_config_file: Option<PathBuf>,

    /// Address to serve; port 0 takes a free one, and stdout gets the line "listening on http://…"
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// Serve only this component; may be repeated [default: all]
    #[arg(short, long = "component", value_name = "NAME")]
    pub components: Vec<String>,

    /// Folder for compiled components, so that the next start is quick
    #[arg(long, value_name = "FOLDER", default_value = ".wiber/cache")]
    pub cache_dir: PathBuf,

    /// Instances of each component; more than one means more SQLite connections, which contend
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub instances: NonZeroUsize,

    /// Requests that one instance handles at once; more wait, and after the request limit get 503
    #[arg(long, value_name = "COUNT", default_value = "4096")]
    pub concurrent_requests: NonZeroUsize,

    /// Longest time until a component's answer begins, milliseconds; then 504, and longest pause within its body
    #[arg(long, value_name = "MS", default_value = "30000")]
    pub request_limit_ms: NonZeroU64,

    /// Longest time an instance may compute or block without awaiting, milliseconds; then it is replaced and its
    /// requests get 500
    #[arg(long, value_name = "MS", default_value = "5000")]
    pub stall_limit_ms: NonZeroU64,

    /// Most memory of one instance, MiB; beyond it the component fails and its requests get 500
    #[arg(long, value_name = "MIB", default_value = "512")]
    pub memory_limit_mib: NonZeroU32,

    /// Longest time for a request's headers, and for an idle connection, milliseconds; then it is closed
    #[arg(long, value_name = "MS", default_value = "20000")]
    pub header_timeout_ms: NonZeroU64,

    /// Time in which a request's body may be slower than 1 KiB/s, milliseconds; then reading it fails. An answer that
    /// the client does not read for this long is cut off too
    #[arg(long, value_name = "MS", default_value = "20000")]
    pub body_timeout_ms: NonZeroU64,

    /// Largest request body, bytes; a backstop above the limits that components hold themselves
    #[arg(long, value_name = "BYTES", default_value = "8454144")]
    pub body_limit_bytes: NonZeroU64,

    /// Connections served at once; more wait in the listen queue
    #[arg(long, value_name = "COUNT", default_value = "4096")]
    pub connections: NonZeroUsize,

    /// Longest time to finish what is in flight after SIGTERM or SIGINT, milliseconds; a second signal ends at once
    #[arg(long, value_name = "MS", default_value = "10000")]
    pub shutdown_deadline_ms: NonZeroU64,
}

/// The limits that hold for every request and instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) concurrent_requests: usize,
    pub(crate) request: Duration,
    pub(crate) stall: Duration,
    pub(crate) memory_bytes: usize,
}

impl Args {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            concurrent_requests: self.concurrent_requests.get(),
            request: ms(self.request_limit_ms),
            stall: ms(self.stall_limit_ms),
            memory_bytes: self.memory_limit_mib.get() as usize * 1024 * 1024,
        }
    }
}

pub(crate) fn ms(value: NonZeroU64) -> Duration {
    Duration::from_millis(value.get())
}
