//! Readiness: what works now, and what an operator should know.

use http::StatusCode;
use serde_json::json;
use wiber_model::query::{self, BridgeStatus, Dependency};

use super::{Condition, View};
use crate::answer::Reply;
use crate::bridge::{self, Bridge};

#[derive(serde::Serialize)]
struct NoParameters {}

/// The outbox's word and journal mode, and a note.
fn outbox(condition: Result<Condition, String>) -> (&'static str, String, Option<String>) {
    match condition {
        Ok(Condition { full, journal, note }) => (if full { "full" } else { "accepting" }, journal, note),
        Err(reason) => ("not durable", "unknown".to_owned(), Some(reason)),
    }
}

fn reply(ready: bool, body: serde_json::Value) -> Reply {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::json(&body).with_status(status)
}

fn word(ready: bool) -> &'static str {
    if ready { "ready" } else { "not ready" }
}

fn connection(dependency: Option<Dependency>) -> &'static str {
    match dependency {
        Some(Dependency::Connected) => "connected",
        Some(Dependency::Disconnected) => "disconnected",
        None => "unknown",
    }
}

pub(super) async fn whole(view: &impl View, bridge: &impl Bridge) -> Reply {
    let (outbox, journal, note) = outbox(view.condition().await);
    let answer = bridge::ask::<BridgeStatus>(bridge, query::STATUS, &NoParameters {}).await;
    let mut notes: Vec<String> = note.into_iter().collect();
    let (bridge, kafka, mongodb) = match answer {
        Ok(status) => {
            notes.extend(status.notes);
            ("connected", Some(status.kafka), Some(status.mongodb))
        }
        Err(problem) => {
            notes.push(problem.detail);
            ("disconnected", None, None)
        }
    };
    let up = Some(Dependency::Connected);
    let ready = outbox == "accepting" && bridge == "connected" && kafka == up && mongodb == up;
    reply(
        ready,
        json!({
            "status": word(ready), "outbox": outbox, "journal": journal, "bridge": bridge,
            "kafka": connection(kafka), "mongodb": connection(mongodb), "notes": notes,
        }),
    )
}

pub(super) async fn send(view: &impl View) -> Reply {
    let (outbox, journal, note) = outbox(view.condition().await);
    let ready = outbox == "accepting";
    let notes: Vec<String> = note.into_iter().collect();
    reply(ready, json!({ "status": word(ready), "outbox": outbox, "journal": journal, "notes": notes }))
}

pub(super) async fn fetch(bridge: &impl Bridge) -> Reply {
    let answer = bridge::ask::<BridgeStatus>(bridge, query::STATUS, &NoParameters {}).await;
    let mongodb = answer.as_ref().ok().map(|status| status.mongodb);
    let ready = mongodb == Some(Dependency::Connected);
    let bridge = if answer.is_ok() { "connected" } else { "disconnected" };
    reply(ready, json!({ "status": word(ready), "bridge": bridge, "mongodb": connection(mongodb) }))
}
