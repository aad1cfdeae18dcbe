//! How the consumer's client is set up.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::incarnation::DEBUG_CONTEXT;
use super::membership::STATISTICS_MS;
use crate::config;
use crate::kafka::client_config;

/// The oldest librdkafka whose cooperative rebalancing is sound enough: older ones lose partitions of a rebalance that
/// another one overtakes.
const LIBRDKAFKA_MIN: u32 = 0x020a_0000;
/// Heartbeats within one session. Their answers tell of a rebalance: what a session is longer than its time-out for the
/// partitions of a member that is gone.
const HEARTBEATS_A_SESSION: u32 = 6;
/// Longest time between two heartbeats, milliseconds.
const HEARTBEAT_MS_MAX: u32 = 3_000;
/// How long the main queue may go without a poll, milliseconds; partitions' queues do not count.
const POLL_INTERVAL_MS: u32 = 300_000;

/// What an operator may tune: a lone record is handed on at once, and a partition that comes back joins the next fetch
/// soon; the queues hold a few batches.
///
/// A fetch that does not arrive within the socket's time-out is thrown away and asked for again, so on a slow link a
/// partition would stand still for ever. Hence small fetches and a long time-out: a full fetch, or the largest batch of
/// the relay, which Kafka sends whole, passes 64 kbit/s in time. A fetch of 128 KiB needs 140 round trips a second for
/// 35,000 messages. A dead broker is noticed by other means: its connection breaks, or the partition's leader moves.
const TUNABLE: &[(&str, &str)] = &[
    ("fetch.max.bytes", "131072"),
    ("fetch.message.max.bytes", "65536"),
    ("socket.timeout.ms", "40000"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.error.backoff.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.min.messages", "4000"),
    ("queued.max.messages.kbytes", "16384"),
];

/// What the guarantees rest on.
const FIXED: &[(&str, &str)] = &[
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // No committed offset means the beginning, which the consumer says itself; anything else is a gap to be told.
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("enable.partition.eof", "false"),
    ("statistics.interval.ms", STATISTICS_MS),
];

/// The consumer's settings.
pub(super) fn consumer_config(kafka: &config::Kafka, instance_id: Option<&str>) -> ClientConfig {
    let mut client = client_config(kafka);
    for (name, value) in TUNABLE {
        if !kafka.properties.contains_key(*name) {
            client.set(*name, *value);
        }
    }
    for (name, value) in FIXED {
        client.set(*name, *value);
    }
    // It limits nothing of a consumer's, but librdkafka takes no fetch.max.bytes below it.
    if let Some(fetch_bytes_max) = client.get("fetch.max.bytes").map(str::to_owned) {
        client.set("message.max.bytes", fetch_bytes_max);
    }
    let debug =
        kafka.properties.get("debug").map_or_else(|| DEBUG_CONTEXT.to_owned(), |d| format!("{d},{DEBUG_CONTEXT}"));
    client.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
    let session_ms = kafka.session_timeout_ms;
    client
        .set("group.id", &kafka.consumer_group)
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", (session_ms / HEARTBEATS_A_SESSION).clamp(1, HEARTBEAT_MS_MAX).to_string())
        .set("max.poll.interval.ms", session_ms.max(POLL_INTERVAL_MS).to_string());
    if let Some(id) = instance_id {
        client.set("group.instance.id", id);
    }
    client
}

/// The settings of the dead letters' producer. An oversized record must still fit with its headers.
pub(super) fn dead_letter_config(kafka: &config::Kafka) -> ClientConfig {
    let mut client = client_config(kafka);
    client
        .set("acks", "all")
        // Neither order nor a repeat matters there, and an idempotent producer that met a fatal error stays useless.
        .set("enable.idempotence", "false")
        .set("message.max.bytes", "20000000")
        // A dead letter that does not arrive is tried again by its partition's task.
        .set("message.timeout.ms", "10000")
        .set("linger.ms", "0")
        .set("compression.type", "zstd");
    client
}

/// The version of librdkafka if it is too old.
pub(super) fn outdated_library() -> Option<String> {
    let (number, text) = rdkafka::util::get_rdkafka_version();
    let number = u32::try_from(number).unwrap_or(0);
    (number < LIBRDKAFKA_MIN).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::slot::STALL;
    use super::*;

    fn kafka(properties: &[(&str, &str)]) -> config::Kafka {
        config::Kafka {
            bootstrap_servers: "localhost:1".into(),
            topic: "t".into(),
            consumer_group: "g".into(),
            properties: properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
            replication_factor: 1,
            min_insync_replicas: 1,
            retention_ms: -1,
            retention_bytes: -1,
            session_timeout_ms: 6_000,
        }
    }

    #[test]
    fn tunables_give_way_to_the_operator() {
        let config = consumer_config(&kafka(&[("fetch.wait.max.ms", "7")]), Some("one"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("heartbeat.interval.ms"), Some("1000"));
        assert_eq!(config.get("group.instance.id"), Some("one"));
        config.create_native_config().unwrap();
        dead_letter_config(&kafka(&[])).create_native_config().unwrap();
    }

    #[test]
    fn a_full_fetch_passes_a_slow_link_before_it_is_given_up_or_counts_as_a_stall() {
        const LINK_BYTES_PER_S: u64 = 8_000;
        // As the relay's producer makes them.
        const BATCH_BYTES_MAX: u64 = 262_144;
        let config = consumer_config(&kafka(&[("message.max.bytes", "2000000")]), None);
        let native = config.create_native_config().unwrap();
        let number = |name: &str| native.get(name).unwrap().parse::<u64>().unwrap();
        let longest_s = number("fetch.max.bytes").max(BATCH_BYTES_MAX).div_ceil(LINK_BYTES_PER_S);
        let time_out_ms = number("socket.timeout.ms") + number("fetch.wait.max.ms");
        assert!(longest_s * 1_000 < time_out_ms, "{longest_s} s, {time_out_ms} ms");
        assert!(u128::from(time_out_ms) < STALL.as_millis());
        assert!(number("fetch.message.max.bytes") <= number("fetch.max.bytes"));
        let _: rdkafka::consumer::BaseConsumer = config.create().unwrap();
    }

    #[test]
    fn the_library_is_recent_enough() {
        assert_eq!(outdated_library(), None);
    }
}
