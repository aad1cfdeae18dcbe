//! The settings: those of the bridge that these commands need, from the same variables and flags.

use clap::ArgMatches;
use wiber_bridge::config::{Config, Process, Source as _};
use wiber_bridge::telemetry::start_logging;

/// The bridge's settings that mean something here.
const USED: &[&str] = &[
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_TOPIC",
    "KAFKA_CONSUMER_GROUP",
    "WIBER_KAFKA_PROPERTIES",
    "MONGO_URI",
    "MONGO_DB",
    "MONGO_COLLECTION",
    "WIBER_MONGO_WRITE_TIMEOUT_MS",
    "WIBER_OUTBOX_URLS",
    "WIBER_OUTBOX_TOKEN",
    LOG,
];
const LOG: &str = "WIBER_LOG";
const LOG_FLAG: &str = "log";
/// What these commands have to say they print; the log is for what goes wrong.
const LOG_DEFAULT: &str = "warn";

/// Whether the setting of this name means something to these commands.
pub(crate) fn is_used(name: &str) -> bool {
    USED.contains(&name)
}

/// Reads the settings and starts the log.
pub(crate) fn read(matches: ArgMatches) -> anyhow::Result<Config> {
    let process = Process::new(matches);
    let mut config = Config::read(&process)?;
    let is_set =
        !process.flag(LOG_FLAG).is_empty() || matches!(process.variable(LOG), Ok(Some(text)) if !text.is_empty());
    if !is_set {
        LOG_DEFAULT.clone_into(&mut config.log.filter);
    }
    start_logging(&config.log);
    Ok(config)
}
