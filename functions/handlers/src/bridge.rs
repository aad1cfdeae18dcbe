//! Asking the bridge.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wiber_model::query;

use crate::problem::Problem;

/// The bridge gave no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bridge did not answer")]
pub struct Unreachable;

/// The bridge's query API.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Bridge {
    /// GETs `path_and_query` with the query token; status and body. The caller of this trait promises its own users an
    /// answer within 3 s, so an implementation gives up before that.
    async fn get(&self, path_and_query: &str) -> Result<(u16, Vec<u8>), Unreachable>;
}

/// Asks a question whose answer must be 200; anything else is a dependency that is down.
pub(crate) async fn ask<T: DeserializeOwned>(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<T, Problem> {
    match ask_if_found(bridge, path, parameters).await? {
        Some(answer) => Ok(answer),
        None => Err(down("the bridge has no answer to this question; is it of another version?")),
    }
}

/// Asks a question that may be answered with 404.
pub(crate) async fn ask_if_found<T: DeserializeOwned>(
    bridge: &impl Bridge,
    path: &str,
    parameters: &impl Serialize,
) -> Result<Option<T>, Problem> {
    let (status, body) =
        bridge.get(&format!("{path}{}", query_string(parameters))).await.map_err(|e| down(e.to_string()))?;
    match status {
        200 => serde_json::from_slice(&body).map(Some).map_err(|_| down("the bridge's answer could not be read")),
        404 if is_not_found(&body) => Ok(None),
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
