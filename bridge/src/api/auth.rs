//! The bearer token of the query API.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::problem::Problem;
use crate::config::Secret;

const SCHEME: &str = "bearer";

/// Lets a request pass that shows the token. Without a token of its own the API refuses everyone.
pub(super) async fn require_token(State(token): State<Secret>, request: Request, next: Next) -> Response {
    if token.is_empty() {
        return Problem::forbidden("no query token is set (WIBER_QUERY_TOKEN), so every query is refused")
            .into_response();
    }
    match shown(request.headers()) {
        // The comparison takes the same time wherever the texts differ; only the length shows.
        Some(text) if bool::from(text.as_bytes().ct_eq(token.expose().as_bytes())) => next.run(request).await,
        _ => Problem::unauthorized().into_response(),
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token.trim())
}
