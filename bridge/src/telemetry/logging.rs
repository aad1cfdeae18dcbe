//! Log lines to stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Log, LogFormat};

/// Starts logging to stderr: JSON where it is not a terminal, unless a setting says otherwise.
pub fn start_logging(log: &Log) {
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    // The filter was checked when the settings were read.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(&log.filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        lines.json().flatten_event(true).with_current_span(false).init();
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    }
}
