//! The Kafka record: a CloudEvents 1.0 event in binary mode (CloudEvents Kafka Protocol Binding §3.2).

use serde::Deserialize as _;

use crate::Message;

/// The topic when none is set.
pub const TOPIC_DEFAULT: &str = "wiber.messages";
/// Partitions of the topic, fixed at creation: another number would move conversations between partitions.
pub const PARTITIONS: i32 = 12;
/// What follows the topic's name in the dead-letter topic's.
pub const DEAD_LETTER_SUFFIX: &str = ".dlq";
/// The event type that this version writes and reads.
pub const TYPE: &str = "wiber.message.sent.v1";
/// Every version of the event type begins like this.
pub const TYPE_PREFIX: &str = "wiber.message.sent.v";
/// Largest value, in bytes: the longest content with every character escaped, and room for the rest.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Header names.
pub mod header {
    /// CloudEvents version, always `1.0`.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// The message id.
    pub const ID: &str = "ce_id";
    /// The event type, [`super::TYPE`].
    pub const TYPE: &str = "ce_type";
    /// The outbox that accepted the message, [`super::source`].
    pub const SOURCE: &str = "ce_source";
    /// When it was accepted, RFC 3339.
    pub const TIME: &str = "ce_time";
    /// The row's position in its outbox (CloudEvents `sequence` extension).
    pub const SEQUENCE: &str = "ce_sequence";
    /// Media type of the value.
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// The sender's request id.
    pub const REQUEST_ID: &str = "x-request-id";
    /// How often this record has been replayed from the dead letters; none if never.
    pub const REPLAYS: &str = "wiber-replays";
    /// The number of the run in which an outbox sent all unsettled rows again, this one among them; none where a row was
    /// read as unpublished.
    pub const RUN: &str = "wiber-run";
    /// Every header that is Wiber's own begins like this; no other does. A replay leaves them out.
    pub const OWN_PREFIX: &str = "wiber-";
    /// Dead letter: why, one of [`super::Poison::code`].
    pub const REASON: &str = "wiber-reason";
    /// Dead letter: what exactly, for a person.
    pub const DETAIL: &str = "wiber-detail";
    /// Dead letter: the topic it came from.
    pub const ORIGIN_TOPIC: &str = "wiber-origin-topic";
    /// Dead letter: the partition it came from.
    pub const ORIGIN_PARTITION: &str = "wiber-origin-partition";
    /// Dead letter: the offset it came from.
    pub const ORIGIN_OFFSET: &str = "wiber-origin-offset";
    /// Dead letter: when Kafka appended it there, Unix milliseconds: a topic that was made anew has each place again.
    pub const ORIGIN_TIME: &str = "wiber-origin-time";
}

/// In the detail of a dead letter whose value Kafka would not take a second time.
pub const VALUE_LEFT_OUT: &str = "the value is left out, since it is too large to be copied";

const SOURCE_PREFIX: &str = "/wiber/outbox/";

/// The `ce_source` of messages that the outbox with this id accepted.
#[must_use]
pub fn source(outbox_id: &str) -> String {
    format!("{SOURCE_PREFIX}{outbox_id}")
}

/// The outbox id of a `ce_source`, if it is one of ours.
#[must_use]
pub fn outbox_of(source: &str) -> Option<&str> {
    source.strip_prefix(SOURCE_PREFIX)
}

/// Why a record can never be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Poison {
    /// The value is missing or not JSON.
    NotJson,
    /// The value is JSON of another shape or breaks a limit.
    WrongShape,
    /// The value is larger than [`VALUE_BYTES_MAX`].
    TooLarge,
    /// The record has no key.
    NoKey,
    /// The key is not the conversation's.
    WrongKey,
    /// The record has no `ce_type`.
    NoType,
    /// `ce_type` is not a version of ours.
    UnknownType,
    /// Another message with the same id is stored already.
    Conflict,
}

impl Poison {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::NotJson,
        Self::WrongShape,
        Self::TooLarge,
        Self::NoKey,
        Self::WrongKey,
        Self::NoType,
        Self::UnknownType,
        Self::Conflict,
    ];

    /// A stable code, used as header, metric label and document field.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not-json",
            Self::WrongShape => "wrong-shape",
            Self::TooLarge => "too-large",
            Self::NoKey => "no-key",
            Self::WrongKey => "wrong-key",
            Self::NoType => "no-type",
            Self::UnknownType => "unknown-type",
            Self::Conflict => "conflict",
        }
    }
}

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A message that can be stored.
    Message(Message),
    /// Never storable: to the dead letters, with a detail for a person (never contents).
    Poison(Poison, String),
    /// A version of ours that this program does not know: the partition must wait for a newer program.
    UnknownVersion(String),
}

/// Reads a record.
#[must_use]
pub fn decode(ce_type: Option<&[u8]>, key: Option<&[u8]>, value: Option<&[u8]>) -> Decoded {
    let poison = |reason, detail: &str| Decoded::Poison(reason, detail.to_owned());
    let Some(ce_type) = ce_type else { return poison(Poison::NoType, "the header ce_type is missing") };
    let ce_type = String::from_utf8_lossy(ce_type);
    if ce_type != TYPE {
        let version = ce_type.strip_prefix(TYPE_PREFIX).unwrap_or_default();
        let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        return if is_version {
            Decoded::UnknownVersion(ce_type.into_owned())
        } else {
            Decoded::Poison(Poison::UnknownType, format!("ce_type is not {TYPE}"))
        };
    }
    let Some(value) = value else { return poison(Poison::NotJson, "the record has no value") };
    if value.len() > VALUE_BYTES_MAX {
        return Decoded::Poison(
            Poison::TooLarge,
            format!("the value has {} bytes; at most {VALUE_BYTES_MAX} are allowed", value.len()),
        );
    }
    let message = match message(value) {
        Ok(message) => message,
        Err((reason, detail)) => return Decoded::Poison(reason, detail),
    };
    match key {
        None => poison(Poison::NoKey, "the record has no key"),
        Some(key) if key != message.conversation().as_str().as_bytes() => {
            poison(Poison::WrongKey, "the key is not the conversation's")
        }
        Some(_) => Decoded::Message(message),
    }
}

fn message(value: &[u8]) -> Result<Message, (Poison, String)> {
    let json: serde_json::Value = serde_json::from_slice(value)
        .map_err(|e| (Poison::NotJson, format!("not JSON at line {} column {}", e.line(), e.column())))?;
    // serde's own text may quote contents, so only the place is kept.
    let message = Message::deserialize(&json)
        .map_err(|_| (Poison::WrongShape, "a field of the message is missing or has another type".to_owned()))?;
    let checks = [
        crate::check_name("fromUser", &message.from_user),
        crate::check_name("toUser", &message.to_user),
        crate::check_content("content", &message.content),
    ];
    if let Some(violation) = checks.into_iter().find_map(Result::err) {
        return Err((Poison::WrongShape, format!("{}: {}", violation.field, violation.code)));
    }
    if message.timestamp != message.message_id.millis() {
        return Err((Poison::WrongShape, "timestamp is not the message id's".to_owned()));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewMessage;

    fn sample() -> Message {
        let new = NewMessage { from_user: "bob".into(), to_user: "alice".into(), content: "hi".into() };
        Message::accept(new, 1_758_865_780_040, [7; 10])
    }

    fn check(ce_type: Option<&str>, key: Option<&str>, value: Option<&str>, expected: &str) {
        let decoded = decode(ce_type.map(str::as_bytes), key.map(str::as_bytes), value.map(str::as_bytes));
        let actual = match decoded {
            Decoded::Message(_) => "message",
            Decoded::Poison(reason, _) => reason.code(),
            Decoded::UnknownVersion(_) => "unknown-version",
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn a_record_is_classified_by_name() {
        let value = serde_json::to_string(&sample()).unwrap();
        let key = r#"["alice","bob"]"#;
        check(Some(TYPE), Some(key), Some(&value), "message");
        check(None, Some(key), Some(&value), "no-type");
        check(Some("other"), Some(key), Some(&value), "unknown-type");
        check(Some("wiber.message.sent.v"), Some(key), Some(&value), "unknown-type");
        check(Some("wiber.message.sent.v2"), Some(key), Some(&value), "unknown-version");
        check(Some(TYPE), None, Some(&value), "no-key");
        check(Some(TYPE), Some(r#"["bob","alice"]"#), Some(&value), "wrong-key");
        check(Some(TYPE), Some(key), None, "not-json");
        check(Some(TYPE), Some(key), Some("hello"), "not-json");
        check(Some(TYPE), Some(key), Some("{}"), "wrong-shape");
        check(Some(TYPE), Some(key), Some(&value.replace("\"hi\"", "\"\"")), "wrong-shape");
        check(
            Some(TYPE),
            Some(key),
            Some(&value.replace("\"timestamp\":1758865780040", "\"timestamp\":5")),
            "wrong-shape",
        );
        check(Some(TYPE), Some(key), Some(&"x".repeat(VALUE_BYTES_MAX + 1)), "too-large");
    }

    #[test]
    fn the_longest_message_fits_a_record() {
        let wide = "\u{10FFFF}".repeat(crate::NAME_CHARS_MAX);
        let new = NewMessage { from_user: wide.clone(), to_user: wide, content: "\0".repeat(crate::CONTENT_CHARS_MAX) };
        let value = serde_json::to_vec(&Message::accept(new, i64::MAX, [0xff; 10])).unwrap();
        assert!(value.len() <= VALUE_BYTES_MAX, "{}", value.len());
    }

    #[test]
    #[ignore = "`cargo xtask budgets` counts what it costs"]
    fn cost_of_reading_a_record() {
        let new = NewMessage { from_user: "alice".into(), to_user: "bob".into(), content: "x".repeat(100) };
        let message = Message::accept(new, 1_758_865_780_040, [7; 10]);
        let (key, value) = (message.conversation(), serde_json::to_vec(&message).unwrap());
        wiber_budget::repeat(|| decode(Some(TYPE.as_bytes()), Some(key.as_str().as_bytes()), Some(&value)));
    }
}
