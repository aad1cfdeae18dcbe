//! One message and its hops: the outbox is asked first, then the bridge.

use serde_json::{Value, json};
use wiber_model::MessageId;
use wiber_model::query::{self, MessageParams, MessageState};

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
        Some(state) => Ok(Reply::json(&known(&id, state))),
        None if held.is_err() => Err(Problem::unavailable("outbox-unavailable", "the outbox cannot be read now")),
        None => Err(unknown()),
    }
}

fn held_message(held: &Held) -> Result<Reply, Problem> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&held.json) else {
        return Err(Problem::unavailable(
            "outbox-unavailable",
            "the outbox database is damaged: a row does not hold a message",
        ));
    };
    let mut hops = json!({ "accepted": { "at": held.accepted_at, "position": held.position } });
    if let Some((partition, offset, at)) = held.published {
        hops["published"] = json!({ "at": at, "partition": partition, "offset": offset });
    }
    fields.insert("state".into(), json!(if held.published.is_some() { "published" } else { "accepted" }));
    fields.insert("hops".into(), hops);
    Ok(Reply::json(&fields))
}

fn known(id: &MessageId, state: MessageState) -> Value {
    match state {
        MessageState::Stored { message, hops } => {
            let mut answer = serde_json::to_value(&message).unwrap_or_default();
            answer["state"] = json!("stored");
            answer["hops"] = json!({
                "accepted": { "at": hops.accepted_at },
                "published": { "at": hops.published_at, "topic": hops.topic, "partition": hops.partition, "offset": hops.offset },
                "stored": { "at": hops.stored_at, "seq": message.seq },
            });
            answer
        }
        MessageState::DeadLettered { reason, at } => json!({
            "messageId": id,
            "state": "dead-lettered",
            "hops": { "deadLettered": { "at": at, "reason": reason } },
        }),
    }
}
