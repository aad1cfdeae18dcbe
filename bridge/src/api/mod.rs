//! HTTP of the bridge: queries for the functions, health, metrics.
//!
//! Entry point: [`serve`]. Every handler converts, asks the store or the board, and converts back.

mod auth;
mod health;
mod problem;
mod query;

use std::future::IntoFuture as _;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wiber_model::query::{CONVERSATION, COUNT, MESSAGE, STATUS, TIMELINE};

use crate::config::Secret;
use crate::status::Board;
use crate::store::Store;
use crate::telemetry::Metrics;

use problem::Problem;

/// Largest request body, bytes: no call has one.
const BODY_BYTES_MAX: usize = 1024;

/// What the API is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// MongoDB; `None` where this process does not answer queries.
    pub store: Option<Store>,
    /// Asked of callers of the query API.
    pub query_token: Secret,
    /// Readiness.
    pub board: Board,
    /// Metrics.
    pub metrics: Metrics,
}

/// Serves until shutdown, then finishes the requests that have begun.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, parts: Parts, shutdown: CancellationToken) -> Result<(), std::io::Error> {
    // Answers leave in two writes; with Nagle's algorithm the second would wait for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay");
        }
    });
    axum::serve(listener, router(parts)).with_graceful_shutdown(shutdown.cancelled_owned()).into_future().await
}

fn router(parts: Parts) -> Router {
    let queries = match parts.store.clone() {
        Some(store) => queries(store, parts.board.clone()),
        None => Router::new(),
    };
    // The token is asked for before path and method are looked at.
    let queries = queries
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(parts.query_token.clone(), auth::require_token));
    Router::new()
        .route("/health/liveness", get(health::liveness))
        .route("/health/readiness", get(health::readiness))
        .with_state(parts.board)
        .merge(Router::new().route("/metrics", get(health::metrics)).with_state(parts.metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .nest("/query", queries)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

fn queries(store: Store, board: Board) -> Router {
    let path = |full: &'static str| full.strip_prefix("/query").unwrap_or(full);
    Router::new()
        .route(path(CONVERSATION), get(query::conversation))
        .route(path(TIMELINE), get(query::timeline))
        .route(path(COUNT), get(query::count))
        .route(path(MESSAGE), get(query::message))
        .with_state(store)
        .merge(Router::new().route(path(STATUS), get(query::status)).with_state(board))
}

async fn not_found() -> Problem {
    Problem::not_found("no such path")
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

#[cfg(test)]
mod tests;
