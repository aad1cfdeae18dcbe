//! Asking the bridge.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wiber_model::query;

use crate::problem::Problem;

/// The bridge gave no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge did not answer")]
pub struct Unreachable;

/// What the bridge answered.
#[derive(Debug, Clone)]
pub struct BridgeAnswer {
    /// The status.
    pub status: u16,
    /// [`query::NEXT`].
    pub next: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// The bridge's query API.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Bridge {
    /// GETs `path_and_query` with the query token. The caller of this trait promises its own users an answer within 3 s, so
    /// an implementation gives up before that.
    async fn get(&self, path_and_query: &str) -> Result<BridgeAnswer, Unreachable>;
}

/// Asks a question whose answer must be 200; anything else is a dependency that is down.
pub(crate) async fn ask<T: DeserializeOwned>(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<T, Problem> {
    ask_if_found(bridge, path, parameters).await?.ok_or_else(unanswered)
}

/// Asks for a page of messages, whose JSON is shown to users as it comes.
pub(crate) async fn page(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<BridgeAnswer, Problem> {
    let page = get_if_found(bridge, path, parameters).await?.ok_or_else(unanswered)?;
    if page.body.starts_with(b"[") && page.body.ends_with(b"]") { Ok(page) } else { Err(unreadable()) }
}

/// Asks a question that may be answered with 404.
pub(crate) async fn ask_if_found<T: DeserializeOwned>(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<Option<T>, Problem> {
    let answer = get_if_found(bridge, path, parameters).await?;
    answer.map(|answer| serde_json::from_slice(&answer.body).map_err(|_| unreadable())).transpose()
}

async fn get_if_found(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<Option<BridgeAnswer>, Problem> {
    let answer = bridge.get(&format!("{path}{}", query_string(parameters))).await.map_err(|e| down(e.to_string()))?;
    match answer.status {
        200 => Ok(Some(answer)),
        404 if is_not_found(&answer.body) => Ok(None),
        404 => Err(down(
            "what answers at bridge_url does not know this question; is it a bridge of this version, and has it the role query?",
        )),
        401 | 403 => Err(down(
            "the bridge refuses this function's token; query_token and WIBER_QUERY_TOKEN must be equal and not empty",
        )),
        _ => Err(down("a dependency of the bridge is down; see /health/readiness")),
    }
}

fn is_not_found(body: &[u8]) -> bool {
    let problem = serde_json::from_slice::<serde_json::Value>(body);
    problem.is_ok_and(|problem| problem["code"] == query::NOT_FOUND)
}

fn unanswered() -> Problem {
    down("the bridge has no answer to this question; is it of another version?")
}

fn unreadable() -> Problem {
    down("the bridge's answer could not be read; is it of another version?")
}

fn down(detail: impl Into<String>) -> Problem {
    Problem::unavailable("dependency-down", detail)
}

/// A flat struct as a query string.
pub(crate) fn query_string(parameters: &impl Serialize) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(parameters) else { return String::new() };
    let mut query = String::new();
    for (name, value) in fields {
        let text = match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(&name);
        query.push('=');
        query.extend(utf8_percent_encode(&text, NON_ALPHANUMERIC));
    }
    query
}
