//! Readiness: what works now, and what an operator should know.

use http::StatusCode;
use serde::Serialize;
use wiber_model::query::{self, Dependency, Report};

use super::{Condition, View};
use crate::answer::Reply;
use crate::bridge::{self, Bridge};

#[derive(Serialize)]
struct NoParameters {}

/// The three bodies' fields, in the order in which they are shown; those that a body has not are left out.
#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mongodb: Option<&'static str>,
    notes: Vec<String>,
}

/// The outbox's word and journal mode, and a note.
fn outbox(condition: Result<Condition, String>) -> (&'static str, String, Option<String>) {
    match condition {
        Ok(Condition { full, journal, note, .. }) => (if full { "full" } else { "accepting" }, journal, note),
        Err(reason) => ("not durable", "unknown".to_owned(), Some(reason)),
    }
}

fn reply(ready: bool, body: &Readiness) -> Reply {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::json(body).with_status(status)
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
    // Side by side, so that what hangs behind one leaves the other its time.
    let question = bridge::ask::<Report>(bridge, query::STATUS, &NoParameters {});
    let (condition, answer) = futures::join!(view.condition(), question);
    let (mut outbox, journal, note) = outbox(condition.clone());
    let mut notes: Vec<String> = note.into_iter().collect();
    let (bridge, kafka, mongodb) = match answer {
        Ok(Report { status, refusals }) => {
            // Who only reads sees no disk that is full or read-only.
            if let Some(reason) = condition.ok().and_then(|known| refusals.get(&known.outbox_id).cloned()) {
                outbox = "not durable";
                notes.push(reason);
            }
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
    let body = Readiness {
        status: word(ready),
        outbox: Some(outbox),
        journal: Some(journal),
        bridge: Some(bridge),
        kafka: Some(connection(kafka)),
        mongodb: Some(connection(mongodb)),
        notes,
    };
    reply(ready, &body)
}

pub(crate) fn send(condition: Result<Condition, String>) -> Reply {
    let (outbox, journal, note) = outbox(condition);
    let ready = outbox == "accepting";
    let notes = note.into_iter().collect();
    let (outbox, journal) = (Some(outbox), Some(journal));
    reply(ready, &Readiness { status: word(ready), outbox, journal, bridge: None, kafka: None, mongodb: None, notes })
}

pub(super) async fn fetch(bridge: &impl Bridge) -> Reply {
    let answer = bridge::ask::<Report>(bridge, query::STATUS, &NoParameters {}).await;
    let mongodb = answer.as_ref().ok().map(|report| report.status.mongodb);
    let ready = mongodb == Some(Dependency::Connected);
    let bridge = Some(if answer.is_ok() { "connected" } else { "disconnected" });
    let (mongodb, notes) = (Some(connection(mongodb)), Vec::new());
    reply(ready, &Readiness { status: word(ready), outbox: None, journal: None, bridge, kafka: None, mongodb, notes })
}
