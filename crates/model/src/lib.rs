//! The words that functions, bridge, host and tests share: the message and its limits, ids, the Kafka record, and the
//! bodies of the two internal HTTP protocols.
//!
//! Entry points: [`Message`], [`NewMessage`], [`record`], [`outbox`], [`lease`], [`query`].
//! This crate does no I/O, reads no clock, draws no randomness and spawns nothing: all of that is passed in.

mod conversation;
mod id;
mod limits;
mod message;
mod partition;
mod timestamp;

pub mod lease;
pub mod outbox;
pub mod query;
pub mod record;
pub mod trace;

pub use conversation::Conversation;
pub use id::{InvalidMessageId, MessageId};
pub use limits::{
    BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, BODY_BYTES_MAX, CONTENT_CHARS_MAX, IDEMPOTENCY_KEY_CHARS_MAX,
    NAME_CHARS_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, TIMELINE_LIMIT_DEFAULT, Violation, check_content, check_name,
};
pub use message::{Message, NewMessage, StoredMessage};
pub use partition::partition_of;
pub use timestamp::rfc3339_millis;
