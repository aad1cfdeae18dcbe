//! The bridge's own settings, and all of them together.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use url::Url;

use super::error::Invalid;
use super::kafka::Kafka;
use super::mongo::Mongo;
use super::reader::Reader;
use super::secret::Secret;
use super::source::Source;
use super::{parse, setting};

/// Everything that can be set.
#[derive(Clone)]
pub struct Config {
    /// Kafka.
    pub kafka: Kafka,
    /// MongoDB.
    pub mongo: Mongo,
    /// What this process does.
    pub roles: Roles,
    /// Where queries, health and metrics are served.
    pub listen: SocketAddr,
    /// The outboxes to drain.
    pub outbox_urls: Vec<Url>,
    /// Shown to the outboxes.
    pub outbox_token: Secret,
    /// Asked of callers of the query API.
    pub query_token: Secret,
    /// Static group membership under this name.
    pub instance_id: Option<String>,
    /// How long an ordered shutdown may take.
    pub shutdown_deadline: Duration,
    /// Logging.
    pub log: Log,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// Outbox to Kafka.
    pub relay: bool,
    /// Kafka to MongoDB.
    pub consumer: bool,
    /// Reads for the functions.
    pub query: bool,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Filter directives of `tracing`.
    pub filter: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless stderr is a terminal.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// All bad settings together, by name.
    pub fn read(source: &dyn Source) -> Result<Self, Invalid> {
        let mut reader = Reader::new(source);
        let config = Self::read_all(&mut reader);
        reader.finish(config)
    }

    // Every setting is read before the first `?`, so that one bad setting does not hide the next.
    fn read_all(reader: &mut Reader<'_>) -> Option<Self> {
        let roles = reader.read(&setting::ROLES, roles);
        let listen = reader.read(&setting::LISTEN, parse::address);
        let outbox_urls = reader.read(&setting::OUTBOX_URLS, parse::outbox_urls);
        let outbox_token = reader.secret(&setting::OUTBOX_TOKEN, parse::token);
        let query_token = reader.secret(&setting::QUERY_TOKEN, parse::token);
        let instance_id = reader.read(&setting::INSTANCE_ID, parse::instance_id);
        let shutdown_deadline = reader.read(&setting::SHUTDOWN_DEADLINE, |t| parse::millis(t, 100..=600_000));
        let kafka = Kafka::read(reader);
        let mongo = Mongo::read(reader);
        let filter = reader.read(&setting::LOG_FILTER, log_filter);
        let format = reader.read(&setting::LOG_FORMAT, log_format);
        Some(Self {
            kafka: kafka?,
            mongo: mongo?,
            roles: roles?,
            listen: listen?,
            outbox_urls: outbox_urls?,
            outbox_token: outbox_token?,
            query_token: query_token?,
            instance_id: instance_id?,
            shutdown_deadline: shutdown_deadline?,
            log: Log { filter: filter?, format: format? },
        })
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("roles", &self.roles)
            .field("listen", &self.listen)
            .field("outbox_urls", &self.outbox_urls.iter().map(Url::as_str).collect::<Vec<_>>())
            .field("outbox_token", &self.outbox_token)
            .field("query_token", &self.query_token)
            .field("instance_id", &self.instance_id)
            .field("shutdown_deadline", &self.shutdown_deadline)
            .field("kafka", &self.kafka)
            .field("mongo", &self.mongo)
            .field("log", &self.log)
            .finish()
    }
}

fn roles(text: &str) -> Result<Roles, String> {
    let mut roles = Roles::default();
    for role in text.split(',').map(str::trim) {
        match role {
            "relay" => roles.relay = true,
            "consumer" => roles.consumer = true,
            "query" => roles.query = true,
            _ => return Err("must be one or more of relay, consumer, query, separated by commas".to_owned()),
        }
    }
    Ok(roles)
}

fn log_filter(text: &str) -> Result<String, String> {
    text.parse::<Targets>()
        .map(|_| text.to_owned())
        .map_err(|_| "must be a level (error, warn, info, debug, trace) or target=level pairs".to_owned())
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("must be auto, json or text".to_owned()),
    }
}
