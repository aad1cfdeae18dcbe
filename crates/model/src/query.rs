//! The bridge's query API, `/query/*`: what the functions ask. Every call is a GET with a bearer token; parameters travel
//! in the query string.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::StoredMessage;

/// One conversation's page: [`ConversationParams`] to an array of [`StoredMessage`](crate::StoredMessage) in the asked
/// order, as users are shown it, and [`NEXT`].
pub const CONVERSATION: &str = "/query/conversation";
/// One user's messages: [`TimelineParams`] to an array of the same, and [`NEXT`].
pub const TIMELINE: &str = "/query/timeline";
/// A count: [`CountParams`] to [`Count`].
pub const COUNT: &str = "/query/count";
/// One message's state: [`MessageParams`] to [`MessageState`]; 404 with the code [`NOT_FOUND`] if it is neither stored nor
/// dead-lettered.
pub const MESSAGE: &str = "/query/message";
/// What the bridge is connected to: [`Report`], always 200.
pub const STATUS: &str = "/query/status";

/// The `code` of the problem document with which a bridge says that what was asked for is not there. A 404 with another,
/// or without one, says that nobody there knows the question.
pub const NOT_FOUND: &str = "not-found";

/// The header with which a page tells the last message that was read for it, by `seq` in a conversation and by id in a
/// timeline, if more lie beyond it in the direction of reading.
pub const NEXT: &str = "wiber-next";

/// Order of a page by `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// Which messages of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationParams {
    /// One user.
    pub user1: String,
    /// The other.
    pub user2: String,
    /// Most messages.
    pub limit: u32,
    /// Only `seq` above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// The `limit` messages next below this `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// The order shown.
    #[serde(default)]
    pub order: Order,
}

/// Which messages of a user, newest first by (timestamp, id as text).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineParams {
    /// The user.
    pub user: String,
    /// Most messages.
    pub limit: u32,
    /// Only messages below this id, by (its milliseconds, its text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// What to count; `user2` needs `user1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountParams {
    /// One user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user1: Option<String>,
    /// The other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user2: Option<String>,
}

/// Which message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageParams {
    /// Its id.
    pub id: String,
}

/// A count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Count {
    /// Messages.
    pub count: u64,
}

/// Where a message stands once it has left the outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum MessageState {
    /// In MongoDB by a majority.
    Stored {
        /// The message with its place.
        message: StoredMessage,
        /// Its hops.
        hops: StoredHops,
        /// What came before, if it was dead-lettered and replayed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        letter: Option<Box<LetterHops>>,
    },
    /// In the dead-letter topic.
    DeadLettered(LetterHops),
}

/// Time and place of each hop of a stored message; times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredHops {
    /// Accepted by the outbox.
    pub accepted_at: i64,
    /// The outbox row that it was, as far as its record told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<OutboxRow>,
    /// Appended to Kafka's log.
    pub published_at: i64,
    /// Written to MongoDB.
    pub stored_at: i64,
    /// Kafka's topic.
    pub topic: String,
    /// Kafka's partition.
    pub partition: i32,
    /// Kafka's offset.
    pub offset: i64,
}

/// A row of an outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The outbox file's id.
    pub id: String,
    /// The row's position.
    pub position: i64,
}

/// Time and place of each hop of a dead letter; times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterHops {
    /// Why.
    pub reason: String,
    /// What exactly, for a person; never contents.
    #[serde(default)]
    pub detail: String,
    /// When it was dead-lettered.
    pub at: i64,
    /// The outbox row that its record was made of, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<OutboxRow>,
    /// When Kafka appended its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<i64>,
    /// The topic of its record.
    #[serde(default)]
    pub topic: String,
    /// The partition of its record.
    #[serde(default)]
    pub partition: i32,
    /// The offset of its record.
    #[serde(default)]
    pub offset: i64,
    /// How often it has been replayed.
    #[serde(default)]
    pub replays: i64,
    /// When it was replayed last; none while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<i64>,
}

/// One dependency of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependency {
    /// It answered lately.
    Connected,
    /// It did not.
    Disconnected,
}

/// What the bridge is connected to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BridgeStatus {
    /// Kafka.
    pub kafka: Dependency,
    /// MongoDB.
    pub mongodb: Dependency,
    /// What an operator should know: log gaps, dead letters, a replaced outbox, a stopped partition.
    pub notes: Vec<String>,
}

/// The answer to [`STATUS`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What the bridge is connected to.
    #[serde(flatten)]
    pub status: BridgeStatus,
    /// Outboxes, by id, whose last write for the bridge was refused, each with the reason. Only writes show that a disk
    /// is full or read-only, and a bridge that renews its lease writes all the time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, String>,
}
