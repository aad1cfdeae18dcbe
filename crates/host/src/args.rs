//! Every setting of the host, with its default and its unit.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
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
    /// Address to serve; port 0 takes a free one; stdout gets the line "listening on http://…"
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Serve only this component; may be repeated [default: all]
    #[arg(short, long = "component", value_name = "NAME")]
    pub components: Vec<String>,
    /// Folder for compiled components, so that the next start is quick
    #[arg(long, value_name = "FOLDER", env = "WIBER_CACHE_DIR", default_value = ".wiber/cache")]
    pub cache_dir: PathBuf,
    /// Instances of each component; more than one means more SQLite connections, which contend
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub instances: NonZeroUsize,
    /// Requests that one instance handles at once; more wait, within their time limit
    #[arg(long, value_name = "COUNT", default_value = "4096")]
    pub concurrent_requests: NonZeroUsize,
    /// Longest time until a component's answer begins, milliseconds, then 504 (up to 250 ms later
    /// where the instance is busy); and longest pause within its body
    #[arg(long = "request-limit-ms", value_name = "MS", default_value = "30000", value_parser = ms)]
    pub request_limit: Duration,
    /// Longest time an instance may compute or block without awaiting, milliseconds; then it is replaced and its
    /// requests get 500
    #[arg(long = "stall-limit-ms", value_name = "MS", default_value = "5000", value_parser = ms)]
    pub stall_limit: Duration,
    /// Most memory of one instance, MiB; beyond it the component fails and its requests get 500
    #[arg(long, value_name = "MIB", default_value = "512")]
    pub memory_limit_mib: NonZeroUsize,
    /// Longest time for a request's headers, and for an idle connection, milliseconds; then it is closed
    #[arg(long = "header-timeout-ms", value_name = "MS", default_value = "20000", value_parser = ms)]
    pub header_timeout: Duration,
    /// How long a request's body may come slower than 1 KiB/s, and how long a client may leave an answer unread,
    /// milliseconds; then reading or writing fails
    #[arg(long = "body-timeout-ms", value_name = "MS", default_value = "20000", value_parser = ms)]
    pub body_timeout: Duration,
    /// Largest request body, bytes; a backstop above the limits that components hold themselves
    #[arg(long, value_name = "BYTES", default_value = "8454144")]
    pub body_limit_bytes: u64,
    /// Connections served at once; more wait in the listen queue
    #[arg(long, value_name = "COUNT", default_value = "4096")]
    pub connections: NonZeroUsize,
    /// Longest time to finish what is in flight after SIGTERM or SIGINT, milliseconds; a second signal ends at once
    #[arg(long = "shutdown-deadline-ms", value_name = "MS", default_value = "10000", value_parser = ms)]
    pub shutdown_deadline: Duration,
}

fn ms(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse::<std::num::NonZeroU32>().map(|value| Duration::from_millis(value.get().into()))
}
