//! The shape of a stored message.

use serde::{Deserialize, Serialize};
use wiber_model::{Conversation, Message, MessageId, StoredMessage, query, record};

/// One document of the collection of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDocument {
    /// The message's identity.
    #[serde(rename = "_id")]
    pub id: MessageId,
    /// The key of its conversation.
    pub conversation: String,
    /// Its place in the conversation, contiguous from 1.
    pub seq: i64,
    /// Who sent.
    pub from_user: String,
    /// Who receives.
    pub to_user: String,
    /// Both users; one entry if they are the same, so that a message to oneself counts once.
    pub participants: Vec<String>,
    /// The text.
    pub content: String,
    /// The accepting node's clock, Unix milliseconds.
    pub timestamp: i64,
    /// `timestamp` as RFC 3339.
    pub created_at: String,
    /// Where it lay in Kafka.
    pub log: Place,
    /// When it passed each hop.
    pub hops: Hops,
    /// What its request carried.
    pub trace: Trace,
    /// Rows beside the one in `trace` whose records were met after this one under the same id: repeats from another
    /// outbox, or other messages, which are dead-lettered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settles: Vec<Origin>,
}

/// The outbox row that a record was made of, as its headers say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The outbox, as `ce_source`.
    pub source: String,
    /// The row's position.
    pub sequence: i64,
}

/// A place in Kafka's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// Times of the hops, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hops {
    /// Accepted by an outbox.
    pub accepted_at: i64,
    /// Appended to Kafka's log.
    pub published_at: i64,
    /// Written to MongoDB.
    pub stored_at: i64,
}

/// What the request carried, as far as its record had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The outbox that accepted it, as `ce_source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its position in that outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
}

impl Trace {
    /// The row that the record was made of; `None` for records that no outbox sent.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let source = self.source.as_ref().filter(|source| record::outbox_of(source).is_some())?;
        Some(Origin { source: source.clone(), sequence: self.sequence? })
    }
}

impl Trace {
    fn row(&self) -> Option<query::OutboxRow> {
        let id = wiber_model::record::outbox_of(self.source.as_deref()?)?.to_owned();
        Some(query::OutboxRow { id, position: self.sequence? })
    }
}

impl MessageDocument {
    /// About what it takes in a command: the texts whose length is anybody's choice.
    pub(super) fn text_bytes(&self) -> usize {
        let trace = &self.trace;
        let traced = [&trace.traceparent, &trace.request_id, &trace.source];
        self.content.len() + traced.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// The document of `message` at `seq` of its conversation.
    #[must_use]
    pub fn new(message: &Message, seq: i64, log: Place, hops: Hops, trace: Trace) -> Self {
        let mut participants = vec![message.from_user.clone()];
        if message.to_user != message.from_user {
            participants.push(message.to_user.clone());
        }
        Self {
            id: message.message_id.clone(),
            conversation: Conversation::of(&message.from_user, &message.to_user).as_str().to_owned(),
            seq,
            from_user: message.from_user.clone(),
            to_user: message.to_user.clone(),
            participants,
            content: message.content.clone(),
            timestamp: message.timestamp,
            created_at: message.created_at.clone(),
            log,
            hops,
            trace,
            settles: Vec::new(),
        }
    }

    /// The rows that need not be kept for this message any more.
    pub(super) fn origins(&self) -> Vec<Origin> {
        self.trace.origin().into_iter().chain(self.settles.iter().cloned()).collect()
    }

    /// The message with its place.
    #[must_use]
    pub fn into_stored(self) -> StoredMessage {
        let message = Message {
            message_id: self.id,
            from_user: self.from_user,
            to_user: self.to_user,
            content: self.content,
            timestamp: self.timestamp,
            created_at: self.created_at,
        };
        StoredMessage { message, seq: self.seq }
    }

    /// Time and place of each hop, as the query API tells them.
    #[must_use]
    pub fn stored_hops(&self) -> query::StoredHops {
        query::StoredHops {
            accepted_at: self.hops.accepted_at,
            row: self.trace.row(),
            published_at: self.hops.published_at,
            stored_at: self.hops.stored_at,
            topic: self.log.topic.clone(),
            partition: self.log.partition,
            offset: self.log.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, doc, serialize_to_document};
    use wiber_model::NewMessage;

    use super::*;

    fn document(from: &str, to: &str) -> MessageDocument {
        let new = NewMessage { from_user: from.into(), to_user: to.into(), content: "hi".into() };
        let message = Message::accept(new, 1_758_865_780_040, [7; 10]);
        let log = Place { topic: "wiber.messages".into(), partition: 3, offset: 9 };
        let hops = Hops { accepted_at: message.timestamp, published_at: 2, stored_at: 3 };
        let trace = Trace { sequence: Some(12), ..Trace::default() };
        MessageDocument::new(&message, 1, log, hops, trace)
    }

    #[test]
    fn the_stored_shape_is_the_contract() {
        let expected = doc! {
            "_id": "msg_1758865780040_07070707070707070707",
            "conversation": r#"["alice","bob"]"#,
            "seq": 1_i64,
            "fromUser": "bob",
            "toUser": "alice",
            "participants": ["bob", "alice"],
            "content": "hi",
            "timestamp": 1_758_865_780_040_i64,
            "createdAt": "2025-09-26T05:49:40.040Z",
            "log": { "topic": "wiber.messages", "partition": 3, "offset": 9_i64 },
            "hops": { "acceptedAt": 1_758_865_780_040_i64, "publishedAt": 2_i64, "storedAt": 3_i64 },
            "trace": { "sequence": 12_i64 },
        };
        assert_eq!(serialize_to_document(&document("bob", "alice")).unwrap(), expected);
    }

    #[test]
    fn a_message_to_oneself_has_one_participant() {
        let document = serialize_to_document(&document("bob", "bob")).unwrap();
        assert_eq!(document.get("participants"), Some(&Bson::from(vec!["bob"])));
        assert_eq!(document.get("seq"), Some(&Bson::Int64(1)));
    }
}
