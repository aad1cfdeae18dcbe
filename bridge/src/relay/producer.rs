//! Kafka's producer: takes rows in order, reports each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::record::Outgoing;
use super::session::{Place, Unsent};
use crate::kafka::{self, LogContext, PolledProducer};
use crate::{clock, config};

/// How long the relay waits for room in the client's queue before it looks again.
pub(super) const QUEUE_FULL_WAIT: Duration = Duration::from_millis(5);

/// The largest batch, bytes.
const BATCH_BYTES: &str = "131072";

/// What an operator may tune.
const TUNABLE: &[(&str, &str)] = &[
    // A person waits for the message; with one request in flight, what comes meanwhile makes up the next batch anyway.
    ("linger.ms", "0"),
    ("compression.type", "lz4"),
    // Small enough to pass a link of 64 kbit/s within the time-out of a request, and within what the relay waits for a
    // report.
    ("batch.size", BATCH_BYTES),
    // What the client holds, KiB; the relay waits with the next row when it is full.
    ("queue.buffering.max.kbytes", "65536"),
    // Above the session's window, so that bytes alone decide.
    ("queue.buffering.max.messages", "20000"),
    ("retry.backoff.ms", "100"),
];

/// What the guarantees rest on.
const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("acks", "all"),
    // A broker takes any first sequence of a producer that it does not know, so with more in flight a later batch could
    // be appended before the first one, which is being tried again (KAFKA-14359, KAFKA-15591).
    ("max.in.flight.requests.per.connection", "1"),
    // Never: the outbox keeps the row, and giving up would only begin the same again.
    ("message.timeout.ms", "0"),
    // Java's hash of the key, so that any producer places a conversation alike.
    ("partitioner", "murmur2_random"),
];

/// What the producer says.
#[derive(Debug)]
pub(super) enum Report {
    /// Kafka has the row.
    Acknowledged { position: i64, place: Place, appended_at_ms: i64 },
    /// Kafka has not taken it, or nobody knows.
    Failed { position: i64, error: KafkaError },
    /// The producer is of no more use.
    Fatal { error: KafkaError, reason: String },
}

/// Whether the client took a row.
#[derive(Debug)]
pub(super) enum HandOver {
    /// It did; a report will follow.
    Taken,
    /// Its queue is full: the same row later.
    QueueFull,
    /// It cannot.
    Refused(KafkaError),
}

/// A producer for one session.
pub(super) struct Producer {
    client: PolledProducer<Context>,
    topic: String,
}

struct Context {
    reports: mpsc::UnboundedSender<Report>,
    leaderless: AtomicBool,
}

impl Producer {
    /// Makes a producer and the channel of its reports, which ends when the producer is closed. Reports are bounded by
    /// the session's window.
    pub(super) fn new(kafka: &config::Kafka) -> Result<(Self, mpsc::UnboundedReceiver<Report>), kafka::Error> {
        let (reports, received) = mpsc::unbounded_channel();
        let client = PolledProducer::new(&settings(kafka), Context { reports, leaderless: AtomicBool::new(false) })?;
        Ok((Self { client, topic: kafka.topic.clone() }, received))
    }

    /// Hands a row to the client's queue; `run` is the session's number, if it sends all unsettled rows again.
    pub(super) fn hand_over(&self, outbox_id: &str, run: Option<i64>, row: &Unsent<Outgoing>) -> HandOver {
        let Ok(opaque) = usize::try_from(row.position) else {
            return HandOver::Refused(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidArgument));
        };
        let record = BaseRecord::with_opaque_to(&self.topic, opaque)
            .key(row.payload.conversation.as_str())
            .payload(row.payload.value())
            .headers(row.payload.headers(outbox_id, row.position, &row.message_id, run));
        match self.client.send(record) {
            Ok(()) => HandOver::Taken,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => HandOver::QueueFull,
            Err((error, _)) => HandOver::Refused(error),
        }
    }

    /// Whether it may wait for ever for a partition that was without a leader for a moment.
    pub(super) fn met_a_leaderless_partition(&self) -> bool {
        self.client.context().leaderless.load(Ordering::Relaxed)
    }

    /// Drops the client with what it still holds: each of those rows gets its report first, and then the channel ends.
    pub(super) async fn close(self) {
        // Dropping it waits for its thread and up to half a second for reports.
        let closed = spawn_blocking(move || drop(self.client)).await;
        if let Err(error) = closed {
            tracing::warn!(%error, "closing the producer");
        }
    }
}

fn settings(kafka: &config::Kafka) -> ClientConfig {
    let mut settings = kafka::client_config(kafka);
    for (name, value) in TUNABLE {
        if !kafka.properties.contains_key(*name) {
            settings.set(*name, *value);
        }
    }
    for (name, value) in FIXED {
        settings.set(*name, *value);
    }
    settings
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if kafka::is_leaderless(facility, message) {
            self.leaderless.store(true, Ordering::Relaxed);
        }
        LogContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            // The receiver is gone only when the session is.
            let _ = self.reports.send(Report::Fatal { error, reason: reason.to_owned() });
        } else {
            kafka::log_event(&error, reason);
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let position = i64::try_from(opaque).unwrap_or(i64::MAX);
        let report = match result {
            Ok(message) => {
                let published_at_ms = clock::unix_ms();
                let place = Place { partition: message.partition(), offset: message.offset(), published_at_ms };
                let appended_at_ms = message.timestamp().to_millis().filter(|ms| *ms > 0).unwrap_or(published_at_ms);
                Report::Acknowledged { position, place, appended_at_ms }
            }
            Err((error, _)) => Report::Failed { position, error: error.clone() },
        };
        let _ = self.reports.send(report);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_full_batch_passes_a_slow_link_in_time() {
        let seconds = BATCH_BYTES.parse::<u64>().unwrap() / 8_000;
        // librdkafka's request.timeout.ms is 30 s.
        assert!(seconds * 3 / 2 < 30);
        assert!(seconds * 2 < super::super::run::SILENCE_MAX.as_secs());
    }

    #[test]
    fn the_operator_tunes_but_never_weakens_and_librdkafka_accepts_all() {
        let kafka = config::Kafka {
            bootstrap_servers: "localhost:1".into(),
            topic: "t".into(),
            consumer_group: "g".into(),
            properties: BTreeMap::from([
                ("linger.ms".to_owned(), "20".to_owned()),
                ("acks".to_owned(), "1".to_owned()),
            ]),
            replication_factor: 1,
            min_insync_replicas: 1,
            retention_ms: -1,
            retention_bytes: -1,
            session_timeout_ms: 6_000,
        };
        let settings = settings(&kafka);
        assert_eq!((settings.get("linger.ms"), settings.get("acks")), (Some("20"), Some("all")));
        settings.create_native_config().unwrap();
    }
}
