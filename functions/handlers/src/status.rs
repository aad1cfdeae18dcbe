//! Questions about the system: health, one message's state, the welcome, and the answer to every unknown path.

mod ledger;
pub(crate) mod readiness;

use serde_json::json;

use crate::answer::{self, Answer, Reply};
use crate::bridge::Bridge;
use crate::context::Entropy;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::route::{self, Call, Route};
use crate::settings::Settings;
use crate::{Head, SettingsError};

/// A message that is still in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The message as JSON.
    pub json: String,
    /// The outbox file's id.
    pub outbox_id: String,
    /// Its place in the outbox.
    pub position: i64,
    /// When it was accepted, Unix milliseconds.
    pub accepted_at: i64,
    /// Kafka's partition, offset and time of acknowledgement, once published.
    pub published: Option<(i64, i64, i64)>,
}

/// What the outbox says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The file's id.
    pub outbox_id: String,
    /// Whether another message fits.
    pub full: bool,
    /// The journal mode.
    pub journal: String,
    /// What an operator should know.
    pub note: Option<String>,
}

/// The outbox, to be looked at only. An error is a reason for which nothing can be accepted.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait View {
    /// The message with this id, if it is still here.
    async fn find(&self, message_id: &str) -> Result<Option<Held>, String>;
    /// How the outbox is.
    async fn condition(&self) -> Result<Condition, String>;
}

/// Answers one request.
pub async fn respond(
    head: &Head,
    view: &impl View,
    bridge: &impl Bridge,
    entropy: &impl Entropy,
    settings: &Result<Settings, SettingsError>,
) -> Answer {
    answer::respond(head, entropy, settings, async |_, _| decide(head, view, bridge).await).await
}

async fn decide(head: &Head, view: &impl View, bridge: &impl Bridge) -> Result<Reply, Problem> {
    let route = Route::of(head)?;
    let mine = matches!(
        route,
        Route::Message(_) | Route::Liveness | Route::Readiness | Route::ReadinessFetch | Route::Welcome
    );
    if !mine {
        return Err(Problem::not_found("no such path; GET / lists what there is"));
    }
    if let Call::Options(reply) = route::method(head, route.allow())? {
        return Ok(reply);
    }
    Parameters::parse(head.uri.query())?.only(&[]).finish()?;
    match route {
        Route::Message(id) => ledger::message(&id, view, bridge).await,
        Route::Liveness => Ok(Reply::json(&json!({ "status": "alive" }))),
        Route::Readiness => Ok(readiness::whole(view, bridge).await),
        Route::ReadinessFetch => Ok(readiness::fetch(bridge).await),
        _ => Ok(welcome()),
    }
}

fn welcome() -> Reply {
    Reply::json(&json!({
        "name": "Wiber",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Messages that are durable before they are acknowledged, in order, stored once.",
        "calls": {
            "send": "POST /messages",
            "batch": "POST /messages/batch",
            "conversation": "GET /messages/{user1}/{user2}",
            "timeline": "GET /messages/user/{username}",
            "count": "GET /messages/count",
            "message": "GET /messages/id/{messageId}",
            "liveness": "GET /health/liveness",
            "readiness": "GET /health/readiness",
        },
    }))
}

#[cfg(test)]
mod tests;
