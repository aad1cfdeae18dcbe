//! One message and its hops: the outbox is asked first, then the bridge.

use serde::Serialize;
use wiber_model::query::{self, LetterHops, MessageParams, MessageState, OutboxRow};
use wiber_model::{Message, MessageId, StoredMessage, rfc3339_millis};

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
struct Known {
    #[serde(flatten)]
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    state: &'static str,
    ledger: Vec<Hop>,
}

/// A dead letter: what its message says is not to be trusted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dead<'a> {
    message_id: &'a MessageId,
    state: &'static str,
    ledger: Vec<Hop>,
}

/// Time and place of one hop; what does not belong to it, or is not known, is left out.
#[derive(Serialize, Default)]
struct Hop {
    hop: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox: Option<OutboxRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replays: Option<i64>,
}

impl Hop {
    fn at(hop: &'static str, millis: i64) -> Self {
        Self { hop, at: Some(rfc3339_millis(millis)), ..Self::default() }
    }

    fn accepted(millis: i64, outbox: Option<OutboxRow>) -> Self {
        Self { outbox, ..Self::at("accepted", millis) }
    }

    fn published(millis: i64, partition: i64, offset: i64) -> Self {
        Self { partition: Some(partition), offset: Some(offset), ..Self::at("published", millis) }
    }
}

fn held_message(held: &Held) -> Result<Reply, Problem> {
    let Ok(message) = serde_json::from_str(&held.json) else {
        let detail = "the outbox database is damaged: a row does not hold a message";
        return Err(Problem::unavailable("outbox-unavailable", detail));
    };
    let row = OutboxRow { id: held.outbox_id.clone(), position: held.position };
    let mut ledger = vec![Hop::accepted(held.accepted_at, Some(row))];
    // The outbox does not know the topic's name.
    ledger.extend(held.published.map(|(partition, offset, at)| Hop::published(at, partition, offset)));
    let state = if held.published.is_some() { "published" } else { "accepted" };
    Ok(Reply::json(&Known { message, seq: None, state, ledger }))
}

fn known(id: &MessageId, state: MessageState) -> Reply {
    match state {
        MessageState::Stored { message: StoredMessage { message, seq }, hops, letter } => {
            let mut ledger = vec![Hop::accepted(hops.accepted_at, hops.row)];
            ledger.extend(letter.into_iter().flat_map(|letter| dead_letter(*letter)));
            let published = Hop::published(hops.published_at, hops.partition.into(), hops.offset);
            ledger.push(Hop { topic: Some(hops.topic), ..published });
            ledger.push(Hop { seq: Some(seq), ..Hop::at("stored", hops.stored_at) });
            Reply::json(&Known { message, seq: Some(seq), state: "stored", ledger })
        }
        MessageState::DeadLettered(letter) => {
            // Only a record that an outbox sent is a message that was accepted, and its id has the time.
            let accepted = letter.row.clone().map(|row| Hop::accepted(id.millis(), Some(row)));
            let ledger = accepted.into_iter().chain(dead_letter(letter)).collect();
            Reply::json(&Dead { message_id: id, state: "dead-lettered", ledger })
        }
    }
}

/// From the record that could not be stored to its replay, if there was one.
fn dead_letter(letter: LetterHops) -> impl Iterator<Item = Hop> {
    let published = Hop {
        hop: "published",
        at: letter.published_at.map(rfc3339_millis),
        topic: Some(letter.topic),
        partition: Some(letter.partition.into()),
        offset: Some(letter.offset),
        ..Hop::default()
    };
    let detail = Some(letter.detail).filter(|detail| !detail.is_empty());
    let dead = Hop { reason: Some(letter.reason), detail, ..Hop::at("dead-lettered", letter.at) };
    let replays = letter.replays;
    let replayed = letter.replayed_at.map(|at| Hop { replays: Some(replays), ..Hop::at("replayed", at) });
    [published, dead].into_iter().chain(replayed)
}
