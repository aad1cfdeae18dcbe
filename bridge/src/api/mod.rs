//! HTTP of the bridge: queries for the functions, health, metrics.
//!
//! Entry point: [`serve`]. Every handler converts, asks the store or the board, and converts back.

mod auth;
mod health;
mod problem;
mod query;
mod server;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use wiber_model::query::{CONVERSATION, COUNT, MESSAGE, STATUS, TIMELINE};
use wiber_model::record::header::REQUEST_ID;
use wiber_model::trace::is_request_id;

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

/// Serves until shutdown, then finishes the requests that have begun. Where queries are answered, it also sees to it that
/// their indexes exist: no other role need have made them.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, parts: Parts, shutdown: CancellationToken) -> Result<(), std::io::Error> {
    let (store, board) = (parts.store.clone(), parts.board.clone());
    let prepared = async {
        if let Some(store) = store {
            store.prepared(&board, &shutdown).await;
        }
    };
    let ((), served) = tokio::join!(prepared, server::serve(listener, router(parts), server::LIMITS, shutdown.clone()));
    served
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
        .layer(from_fn(with_request_id))
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

/// Lets every log line about a query carry the id of the request that it was asked for.
async fn with_request_id(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_request_id(id));
    let span = tracing::info_span!("query", path = request.uri().path(), request_id = id);
    next.run(request).instrument(span).await
}

async fn not_found() -> Problem {
    Problem::no_such_path()
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

#[cfg(test)]
mod tests;
