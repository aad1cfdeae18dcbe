//! A row as a Kafka record.

use std::sync::atomic::{AtomicI64, Ordering};

use rdkafka::message::{Header, OwnedHeaders};
use serde::Deserialize;
use serde_json::value::RawValue;
use wiber_model::outbox::Row;
use wiber_model::record::{self, header};
use wiber_model::{Conversation, MessageId};

use super::session::Unsent;
use crate::mutant::Mutant;

const SPEC_VERSION: &str = "1.0";
const CONTENT_TYPE: &str = "application/json";

/// What a row becomes.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The conversation, which is the key.
    pub(super) conversation: Conversation,
    created_at: String,
    request_id: String,
    traceparent: String,
    message: Box<RawValue>,
}

/// A row whose message has another shape than this version knows: it has no key, so it can neither be sent nor passed
/// over.
#[derive(Debug, thiserror::Error)]
#[error("row {position} of the outbox holds no message of this version")]
pub(super) struct Unreadable {
    position: i64,
    #[source]
    source: serde_json::Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    message_id: MessageId,
    from_user: String,
    to_user: String,
    created_at: String,
}

/// Reads what the record needs of a row.
pub(super) fn prepare(row: Row) -> Result<Unsent<Outgoing>, Unreadable> {
    let Row { position, message, request_id, traceparent } = row;
    let head: Head =
        serde_json::from_str(message.get()).map_err(|source| Unreadable { position, source: without_text(source) })?;
    if Mutant::RetryUnderNewId.is_on() && was_met(position) {
        let message_id = MessageId::new(head.message_id.millis(), rand::random());
        let text = message.get().replace(head.message_id.as_str(), message_id.as_str());
        let message = RawValue::from_string(text).map_err(|source| Unreadable { position, source })?;
        return Ok(outgoing(position, message, Head { message_id, ..head }, request_id, traceparent));
    }
    Ok(outgoing(position, message, head, request_id, traceparent))
}

/// Whether a row of this position was sent before, or a higher one: what [`Mutant::RetryUnderNewId`] goes by.
fn was_met(position: i64) -> bool {
    static HIGHEST: AtomicI64 = AtomicI64::new(0);
    HIGHEST.fetch_max(position, Ordering::Relaxed) >= position
}

fn outgoing(
    position: i64,
    message: Box<RawValue>,
    head: Head,
    request_id: String,
    traceparent: String,
) -> Unsent<Outgoing> {
    let payload = Outgoing {
        conversation: Conversation::of(&head.from_user, &head.to_user),
        created_at: head.created_at,
        request_id,
        traceparent,
        message,
    };
    Unsent { position, message_id: head.message_id, payload }
}

// serde's own text may quote contents.
fn without_text(error: serde_json::Error) -> serde_json::Error {
    serde::de::Error::custom(format_args!("line {} column {}", error.line(), error.column()))
}

impl Outgoing {
    /// The value: the message's JSON, byte for byte as the outbox holds it.
    pub(super) fn value(&self) -> &str {
        self.message.get()
    }

    /// The headers of a CloudEvents 1.0 event in binary mode, and the number of the run that sends the row again, if one does.
    pub(super) fn headers(
        &self,
        outbox_id: &str,
        position: i64,
        message_id: &MessageId,
        run: Option<i64>,
    ) -> OwnedHeaders {
        let source = record::source(outbox_id);
        let sequence = position.to_string();
        let run = run.map(|number| number.to_string()).unwrap_or_default();
        let pairs = [
            (header::SPEC_VERSION, SPEC_VERSION),
            (header::ID, message_id.as_str()),
            (header::TYPE, record::TYPE),
            (header::SOURCE, &source),
            (header::TIME, &self.created_at),
            (header::SEQUENCE, &sequence),
            (header::CONTENT_TYPE, CONTENT_TYPE),
            (header::TRACEPARENT, &self.traceparent),
            (header::REQUEST_ID, &self.request_id),
            (header::RUN, &run),
        ];
        pairs
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use wiber_model::{Message, NewMessage};

    use super::*;

    fn row(message: &str) -> Row {
        Row {
            position: 7,
            message: RawValue::from_string(message.to_owned()).unwrap(),
            request_id: "r-1".into(),
            traceparent: String::new(),
        }
    }

    #[test]
    fn the_value_is_the_outbox_bytes_and_the_headers_name_their_origin() {
        let new = NewMessage { from_user: "bob".into(), to_user: "alice".into(), content: "hi".into() };
        let text = format!(" {} ", serde_json::to_string(&Message::accept(new, 1_758_865_780_040, [7; 10])).unwrap());
        let unsent = prepare(row(text.trim())).unwrap();
        assert_eq!(unsent.payload.value(), text.trim());
        assert_eq!(unsent.payload.conversation.as_str(), r#"["alice","bob"]"#);
        let headers = unsent.payload.headers("abc", unsent.position, &unsent.message_id, None);
        let found: Vec<_> =
            headers.iter().map(|h| (h.key, std::str::from_utf8(h.value.unwrap()).unwrap().to_owned())).collect();
        assert!(found.contains(&("ce_source", "/wiber/outbox/abc".into())));
        assert!(found.contains(&("ce_sequence", "7".into())));
        assert!(found.contains(&("ce_time", "2025-09-26T05:49:40.040Z".into())));
        assert!(found.contains(&("x-request-id", "r-1".into())));
        assert!(
            !found.iter().any(|(key, _)| ["traceparent", "wiber-run"].contains(key)),
            "an empty header is left out"
        );
        let decoded = record::decode(
            Some(record::TYPE.as_bytes()),
            Some(unsent.payload.conversation.as_str().as_bytes()),
            Some(unsent.payload.value().as_bytes()),
        );
        assert!(matches!(decoded, record::Decoded::Message(_)));
    }

    #[test]
    fn a_row_of_another_shape_is_unreadable_without_its_contents() {
        let error = prepare(row(r#"{"messageId":"secret"}"#)).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
