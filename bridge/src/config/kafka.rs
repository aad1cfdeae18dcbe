//! Kafka's settings.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use wiber_model::record::DEAD_LETTER_SUFFIX;

use super::reader::Reader;
use super::{parse, setting};

/// Properties that the guarantees rest on, and those that have a setting of their own.
const FIXED_PROPERTIES: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "retries",
    "session.timeout.ms",
    "transactional.id",
];

/// How to reach and use Kafka.
#[derive(Clone)]
pub struct Kafka {
    /// Brokers to ask first.
    pub bootstrap_servers: String,
    /// The topic of messages.
    pub topic: String,
    /// The consumer group.
    pub consumer_group: String,
    /// librdkafka properties that are passed through; values may be secrets.
    pub properties: BTreeMap<String, String>,
    /// Copies of each partition at creation.
    pub replication_factor: i32,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: i32,
    /// How long Kafka keeps messages, milliseconds; -1 for ever.
    pub retention_ms: i64,
    /// How much of each partition Kafka keeps; -1 for all.
    pub retention_bytes: i64,
    /// After how long without a heartbeat a consumer is gone.
    pub session_timeout_ms: u32,
}

impl Kafka {
    /// The topic of dead letters.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}{DEAD_LETTER_SUFFIX}", self.topic)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bootstrap_servers = reader.read(&setting::BOOTSTRAP_SERVERS, parse::bootstrap_servers);
        let topic = reader.read(&setting::TOPIC, parse::topic);
        let consumer_group = reader.read(&setting::CONSUMER_GROUP, parse::group);
        let replication_factor =
            reader.read(&setting::REPLICATION_FACTOR, |t| parse::number(t, 1..=i32::from(i16::MAX)));
        let min_insync_replicas =
            reader.read(&setting::MIN_INSYNC_REPLICAS, |t| parse::number(t, 1..=i32::from(i16::MAX)));
        if let (Some(factor), Some(min)) = (replication_factor, min_insync_replicas)
            && min > factor
        {
            let reason = format!("must not exceed {} ({factor})", setting::REPLICATION_FACTOR.name);
            reader.problem(&setting::MIN_INSYNC_REPLICAS, &min.to_string(), reason);
        }
        let retention_ms = reader.read(&setting::RETENTION_MS, parse::retention);
        let retention_bytes = reader.read(&setting::RETENTION_BYTES, parse::retention);
        let session_timeout_ms = reader.read(&setting::SESSION_TIMEOUT, |t| parse::number(t, 1_000..=3_600_000));
        let properties = read_properties(reader);
        Some(Self {
            bootstrap_servers: bootstrap_servers?,
            topic: topic?,
            consumer_group: consumer_group?,
            properties: properties?,
            replication_factor: replication_factor?,
            min_insync_replicas: min_insync_replicas?,
            retention_ms: retention_ms?,
            retention_bytes: retention_bytes?,
            session_timeout_ms: session_timeout_ms?,
        })
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("topic", &self.topic)
            .field("consumer_group", &self.consumer_group)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("replication_factor", &self.replication_factor)
            .field("min_insync_replicas", &self.min_insync_replicas)
            .field("retention_ms", &self.retention_ms)
            .field("retention_bytes", &self.retention_bytes)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .finish()
    }
}

/// The variable's lines first, then the flags, which win.
fn read_properties(reader: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let flags = reader.repeated(setting::KAFKA_PROPERTY_FLAG);
    reader.read(&setting::KAFKA_PROPERTIES, |text| {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        lines.chain(flags.iter().map(String::as_str)).map(property).collect()
    })
}

fn property(line: &str) -> Result<(String, String), String> {
    let Some((name, value)) = line.split_once('=') else {
        return Err("each property is NAME=VALUE, one a line".to_owned());
    };
    let name = name.trim();
    if FIXED_PROPERTIES.contains(&name) {
        return Err(format!("{name} may not be set: the guarantees rest on it, or a setting of its own decides it"));
    }
    let mut config = ClientConfig::new();
    config.set(name, value.trim());
    // librdkafka's own words may quote the value.
    match config.create_native_config() {
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Err(format!("librdkafka knows no property {name}"))
        }
        Err(_) => Err(format!("librdkafka refuses the value of {name}")),
        Ok(_) => Ok((name.to_owned(), value.trim().to_owned())),
    }
}
