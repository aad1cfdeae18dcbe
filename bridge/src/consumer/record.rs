//! A record as it comes from a partition's queue.

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, OwnedMessage, Timestamp};
use wiber_model::record::{self, Decoded, header};
use wiber_model::trace::{is_request_id, is_traceparent};
use wiber_model::{Message, MessageId};

use crate::store::{Origin, Trace};

/// One record, decoded.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it lies in its partition.
    pub(super) offset: i64,
    /// When Kafka appended it, Unix milliseconds.
    pub(super) published_at: i64,
    /// What it is.
    pub(super) decoded: Decoded,
    /// What its request carried.
    pub(super) trace: Trace,
    /// The number of the run that sent its row again.
    pub(super) run: Option<i64>,
    /// Key, value and headers, in bytes.
    pub(super) bytes: usize,
    /// The record as it came, for the dead letters.
    pub(super) original: OwnedMessage,
}

impl Record {
    /// Decodes a record; `now_ms` stands in where it has no time.
    pub(super) fn read(raw: &BorrowedMessage<'_>, now_ms: i64) -> Self {
        let decoded = record::decode(header_of(raw, header::TYPE), raw.key(), raw.payload());
        let published_at = match raw.timestamp() {
            Timestamp::LogAppendTime(ms) | Timestamp::CreateTime(ms) => ms,
            Timestamp::NotAvailable => now_ms,
        };
        let (trace, run) = (trace(raw), run(raw));
        let bytes = raw.key_len() + raw.payload_len() + headers_len(raw);
        Self { offset: raw.offset(), published_at, decoded, trace, run, bytes, original: raw.detach() }
    }

    /// The message, if it is one.
    pub(super) fn message(&self) -> Option<&Message> {
        match &self.decoded {
            Decoded::Message(message) => Some(message),
            Decoded::Poison(..) | Decoded::UnknownVersion(_) => None,
        }
    }

    /// Whether an operator sent it, from the dead letters.
    pub(super) fn is_replay(&self) -> bool {
        header_of(&self.original, header::REPLAYS).is_some()
    }

    /// Whether the row that this record was made of, if any, is among these.
    pub(super) fn is_of(&self, rows: &[Origin]) -> bool {
        self.trace.origin().is_none_or(|row| rows.contains(&row))
    }

    /// The message id that the record claims, wherever it says so.
    pub(super) fn claimed_id(&self) -> Option<MessageId> {
        let in_header = header_of(&self.original, header::ID)
            .and_then(|id| std::str::from_utf8(id).ok())
            .and_then(|id| MessageId::parse(id).ok());
        in_header.or_else(|| {
            let value: serde_json::Value = serde_json::from_slice(self.original.payload()?).ok()?;
            MessageId::parse(value.get("messageId")?.as_str()?).ok()
        })
    }
}

fn trace<M: rdkafka::Message>(raw: &M) -> Trace {
    let text = |name| header_of(raw, name).and_then(|v| std::str::from_utf8(v).ok());
    Trace {
        traceparent: text(header::TRACEPARENT).filter(|t| is_traceparent(t)).map(str::to_owned),
        request_id: text(header::REQUEST_ID).filter(|t| is_request_id(t)).map(str::to_owned),
        source: text(header::SOURCE).map(str::to_owned),
        sequence: text(header::SEQUENCE).and_then(|t| t.parse().ok()),
    }
}

fn run<M: rdkafka::Message>(raw: &M) -> Option<i64> {
    std::str::from_utf8(header_of(raw, header::RUN)?).ok()?.parse().ok()
}

/// The value of the first header of this name.
pub(super) fn header_of<'a, M: rdkafka::Message>(raw: &'a M, name: &str) -> Option<&'a [u8]> {
    raw.headers()?.iter().find(|h| h.key == name)?.value
}

fn headers_len<M: rdkafka::Message>(raw: &M) -> usize {
    raw.headers().map_or(0, |headers| headers.iter().map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len)).sum())
}
