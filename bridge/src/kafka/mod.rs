//! What every role needs of Kafka: client settings, the two topics, producers, and questions about the log and the group.
//!
//! Entry points: [`client_config`], [`ensure_ready`], [`Inspector`], [`PolledProducer`]. What is sent and read is the
//! roles' own business.

mod context;
mod describe;
mod ensure;
pub(crate) mod epoch;
mod error;
mod inspector;
pub mod lag;
mod outage;
mod polled;
mod shares;
mod topics;

pub use context::{LogContext, is_leaderless, log_event};
pub use ensure::ensure_ready;
pub use error::Error;
pub use inspector::{Committed, Health, Inspector, Watermarks};
pub use outage::Outage;
pub use polled::PolledProducer;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config;

/// The id that brokers show in their logs and quotas.
const CLIENT_ID: &str = "wiber-bridge";
/// Longest wait between two attempts to connect, so that a broker is found within a second of its return.
const RECONNECT_MS_MAX: &str = "1000";
/// Longest wait for an answer; also how long a produce request hangs on a frozen leader before it is sent to the next.
const SOCKET_TIMEOUT_MS: &str = "10000";
/// How often clients ask who leads the partitions even if nothing failed.
const METADATA_REFRESH_MS: &str = "10000";

/// Settings that all clients share; the caller adds those of its role. Properties set by the operator are included.
#[must_use]
pub fn client_config(kafka: &config::Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("client.id", CLIENT_ID)
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", SOCKET_TIMEOUT_MS)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX)
        .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH_MS)
        .set("log.connection.close", "false");
    for (name, value) in &kafka.properties {
        client.set(name, value);
    }
    // A topic that a broker creates on the side would have its default number of partitions.
    client
        .set("bootstrap.servers", &kafka.bootstrap_servers)
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    client
}
