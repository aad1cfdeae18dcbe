//! One message and its hops: the outbox is asked first, then the bridge.

use serde::Serialize;
use serde_json::{Value, json};
use wiber_model::query::{self, MessageParams, MessageState};
use wiber_model::{Message, MessageId, StoredMessage};

use super::{Held, View};
use crate::answer::Reply;
use crate::bridge::{self, Bridge};
use crate::problem::Problem;

pub(super) async fn message(id: &str, view: &impl View, bridge: &impl Bridge) -> Result<Reply, Problem> {
    let unknown = || Problem::not_found("no message with this id is in this outbox or stored");
    let Ok(id) = MessageId::parse(id) else { return Err(unknown()) };
    let held = view.find(id.as_str()).await;
    if let Ok(Some(held)) = &held {
        return held_message(held);
    }
    let asked = MessageParams { id: id.to_string() };
    match bridge::ask_if_found::<MessageState>(bridge, query::MESSAGE, &asked).await? {
        // An outbox that cannot be read does not hide what is stored, and nobody can say what it does not hold.
        Some(state) => Ok(known(&id, state)),
        None if held.is_err() => Err(Problem::unavailable("outbox-unavailable", "the outbox cannot be read now")),
        None => Err(unknown()),
    }
}

/// A message and how far it has come, in the order in which it is shown.
#[derive(Serialize)]
struct Ledger {
    #[serde(flatten)]
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    state: &'static str,
    hops: Hops,
}

/// Time (Unix milliseconds) and place of each hop.
#[derive(Serialize)]
struct Hops {
    accepted: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Value>,
}

fn held_message(held: &Held) -> Result<Reply, Problem> {
    let Ok(message) = serde_json::from_str(&held.json) else {
        let detail = "the outbox database is damaged: a row does not hold a message";
        return Err(Problem::unavailable("outbox-unavailable", detail));
    };
    let published =
        held.published.map(|(partition, offset, at)| json!({ "at": at, "partition": partition, "offset": offset }));
    let state = if published.is_some() { "published" } else { "accepted" };
    let accepted = json!({ "at": held.accepted_at, "position": held.position });
    Ok(Reply::json(&Ledger { message, seq: None, state, hops: Hops { accepted, published, stored: None } }))
}

fn known(id: &MessageId, state: MessageState) -> Reply {
    match state {
        MessageState::Stored { message: StoredMessage { message, seq }, hops } => {
            let accepted = json!({ "at": hops.accepted_at });
            let published = json!({
                "at": hops.published_at, "topic": hops.topic, "partition": hops.partition, "offset": hops.offset,
            });
            let stored = json!({ "at": hops.stored_at, "seq": seq });
            let hops = Hops { accepted, published: Some(published), stored: Some(stored) };
            Reply::json(&Ledger { message, seq: Some(seq), state: "stored", hops })
        }
        MessageState::DeadLettered { reason, at } => Reply::json(&json!({
            "messageId": id,
            "state": "dead-lettered",
            "hops": { "deadLettered": { "at": at, "reason": reason } },
        })),
    }
}
