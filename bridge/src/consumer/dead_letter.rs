//! Dead letters: first into their topic, then into MongoDB, each acknowledged, before the offset may be committed.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext};
use tokio::sync::oneshot;
use wiber_model::record::{Poison, VALUE_LEFT_OUT, header};

use super::record::{Record, header_of};
use super::settings::dead_letter_config;
use crate::config;
use crate::kafka::{self, LogContext, PolledProducer};
use crate::store::{DeadLetter, Place};

/// Most replays that are believed: the count is a header, which anyone may write.
const REPLAYS_MAX: i64 = 1_000_000;

/// Produces into the dead-letter topic.
#[derive(Clone)]
pub(super) struct DeadLetters {
    producer: Arc<PolledProducer<Context>>,
    topic: String,
}

/// Tells whoever sent a letter what became of it.
struct Context;

type Delivered = oneshot::Sender<Result<(), KafkaError>>;

/// Why a record cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) reason: Poison,
    pub(super) detail: String,
}

impl DeadLetters {
    pub(super) fn new(kafka: &config::Kafka) -> Result<Self, kafka::Error> {
        let producer = Arc::new(PolledProducer::new(&dead_letter_config(kafka), Context)?);
        Ok(Self { producer, topic: kafka.dead_letter_topic() })
    }

    /// Sends the record as it came, with reason and origin as headers, into the same partition number, and waits for the
    /// acknowledgement.
    pub(super) async fn produce(&self, record: &Record, verdict: &Verdict) -> Result<(), KafkaError> {
        match self.send(record, verdict, record.original.payload()).await {
            // With its headers the record is larger than Kafka takes. It still lies at its origin, which the headers name.
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                let detail = format!("{}; {VALUE_LEFT_OUT}", verdict.detail);
                self.send(record, &Verdict { detail, ..verdict.clone() }, None).await
            }
            other => other,
        }
    }

    async fn send(&self, record: &Record, verdict: &Verdict, value: Option<&[u8]>) -> Result<(), KafkaError> {
        let (delivered, delivery) = oneshot::channel();
        // Its partition's task tries again whatever fails, a full queue too: each partition waits for one letter at a time.
        let mut letter: BaseRecord<'_, [u8], [u8], Box<Delivered>> =
            BaseRecord::with_opaque_to(&self.topic, Box::new(delivered))
                .partition(record.original.partition())
                .headers(headers(record, verdict));
        letter.key = record.original.key();
        letter.payload = value;
        self.producer.send(letter).map_err(|(error, _)| error)?;
        delivery.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LogContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        LogContext.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = Box<Delivered>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivered: Box<Delivered>) {
        // Whoever sent it may have been given up.
        let _ = delivered.send(result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone()));
    }
}

fn headers(record: &Record, verdict: &Verdict) -> OwnedHeaders {
    let original = &record.original;
    let mut headers = original.headers().cloned().unwrap_or_default();
    let partition = original.partition().to_string();
    let offset = original.offset().to_string();
    let time = record.published_at.to_string();
    let added = [
        (header::REASON, verdict.reason.code()),
        (header::DETAIL, verdict.detail.as_str()),
        (header::ORIGIN_TOPIC, original.topic()),
        (header::ORIGIN_PARTITION, partition.as_str()),
        (header::ORIGIN_OFFSET, offset.as_str()),
        (header::ORIGIN_TIME, time.as_str()),
    ];
    for (key, value) in added {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    headers
}

/// What MongoDB is told.
pub(super) fn document(record: &Record, verdict: &Verdict, at_ms: i64) -> DeadLetter {
    let original = &record.original;
    let origin =
        Place { topic: original.topic().to_owned(), partition: original.partition(), offset: original.offset() };
    let place = || origin.to_string();
    let id = match verdict.reason {
        // The id is that of the message which is stored, and which is not dead-lettered.
        Poison::Conflict => place(),
        Poison::NotJson
        | Poison::WrongShape
        | Poison::TooLarge
        | Poison::NoKey
        | Poison::WrongKey
        | Poison::NoType
        | Poison::UnknownType => record.claimed_id().map_or_else(place, String::from),
    };
    let settles = record.trace.origin();
    let (published_at_ms, replays) = (record.published_at, replays(&record.original));
    DeadLetter {
        id,
        reason: verdict.reason,
        detail: verdict.detail.clone(),
        origin,
        settles,
        at_ms,
        published_at_ms,
        replays,
    }
}

/// How often the record had been replayed from the dead letters.
fn replays(original: &OwnedMessage) -> i64 {
    let text = header_of(original, header::REPLAYS).and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0).clamp(0, REPLAYS_MAX)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Headers as _, Timestamp};
    use wiber_model::record::{TYPE, decode};

    use super::*;
    use crate::store::Trace;

    const ID: &str = "msg_1758865780040_07070707070707070707";

    fn record(id_header: Option<&str>, value: &str) -> Record {
        let mut headers = OwnedHeaders::new();
        if let Some(id) = id_header {
            headers = headers.insert(Header { key: header::ID, value: Some(id) });
        }
        let original = OwnedMessage::new(
            Some(value.as_bytes().to_vec()),
            None,
            "t".into(),
            Timestamp::NotAvailable,
            3,
            42,
            Some(headers),
        );
        let decoded = decode(Some(TYPE.as_bytes()), None, Some(value.as_bytes()));
        Record {
            offset: 42,
            published_at: 0,
            decoded,
            trace: Trace::default(),
            run: None,
            bytes: value.len(),
            original,
        }
    }

    fn verdict(reason: Poison) -> Verdict {
        Verdict { reason, detail: "why".into() }
    }

    fn check(id_header: Option<&str>, value: &str, reason: Poison, expected: &str) {
        assert_eq!(document(&record(id_header, value), &verdict(reason), 1).id, expected);
    }

    #[test]
    fn a_dead_letter_is_filed_under_its_message_or_its_origin() {
        let value = format!(r#"{{"messageId":"{ID}"}}"#);
        check(Some(ID), "hello", Poison::NotJson, ID);
        check(None, &value, Poison::WrongShape, ID);
        check(Some("msg_x"), &value, Poison::WrongShape, ID);
        check(None, "hello", Poison::NotJson, "t/3/42");
        check(Some(ID), &value, Poison::Conflict, "t/3/42");
    }

    #[test]
    fn headers_keep_the_original_and_add_reason_and_origin() {
        let headers = headers(&record(Some(ID), "x"), &verdict(Poison::NoKey));
        let text: Vec<(&str, &str)> =
            headers.iter().map(|h| (h.key, std::str::from_utf8(h.value.unwrap()).unwrap())).collect();
        let expected = [
            ("ce_id", ID),
            ("wiber-reason", "no-key"),
            ("wiber-detail", "why"),
            ("wiber-origin-topic", "t"),
            ("wiber-origin-partition", "3"),
            ("wiber-origin-offset", "42"),
            ("wiber-origin-time", "0"),
        ];
        assert_eq!(text, expected);
    }
}
