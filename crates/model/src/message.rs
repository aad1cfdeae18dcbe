//! The message, before and after it has a place in its conversation.

use serde::{Deserialize, Serialize};

use crate::{Conversation, MessageId, Violation, check_content, check_name, rfc3339_millis};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// Who sends.
    pub from_user: String,
    /// Who receives; may equal the sender.
    pub to_user: String,
    /// The text.
    pub content: String,
}

impl NewMessage {
    /// Every limit that the fields break, empty if none.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let checks = [
            check_name("fromUser", &self.from_user),
            check_name("toUser", &self.to_user),
            check_content("content", &self.content),
        ];
        checks.into_iter().filter_map(Result::err).collect()
    }
}

/// An accepted message: the answer to a send, and the value of its Kafka record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Identity, the same on every hop.
    pub message_id: MessageId,
    /// Who sent.
    pub from_user: String,
    /// Who receives.
    pub to_user: String,
    /// The text.
    pub content: String,
    /// The accepting node's wall clock, Unix milliseconds: a label, not an order.
    pub timestamp: i64,
    /// `timestamp` as RFC 3339.
    pub created_at: String,
}

impl Message {
    /// Accepts `new` at `millis`, with `random` making its id unique.
    #[must_use]
    pub fn accept(new: NewMessage, millis: i64, random: [u8; 10]) -> Self {
        let message_id = MessageId::new(millis, random);
        let timestamp = message_id.millis();
        let NewMessage { from_user, to_user, content } = new;
        Self { message_id, from_user, to_user, content, timestamp, created_at: rfc3339_millis(timestamp) }
    }

    /// The conversation that orders this message.
    #[must_use]
    pub fn conversation(&self) -> Conversation {
        Conversation::of(&self.from_user, &self.to_user)
    }

    /// Whether `self` and `other` are the same sending: equal in all that a client or an accepting node decided.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.message_id == other.message_id
            && self.from_user == other.from_user
            && self.to_user == other.to_user
            && self.content == other.content
            && self.timestamp == other.timestamp
    }
}

/// A message read back: with its place in the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The message as it was accepted.
    #[serde(flatten)]
    pub message: Message,
    /// Its place in the conversation, contiguous from 1.
    pub seq: i64,
}
