//! Liveness, readiness, metrics. None of them waits for a dependency.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use wiber_model::query::{BridgeStatus, Dependency};

use crate::status::Board;
use crate::telemetry::Metrics;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Serialize)]
pub(super) struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(flatten)]
    bridge: BridgeStatus,
}

pub(super) async fn liveness() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

pub(super) async fn readiness(State(board): State<Board>) -> Response {
    let bridge = board.status();
    let ready = bridge.kafka == Dependency::Connected && bridge.mongodb == Dependency::Connected;
    let (code, status) = if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (code, Json(Ready { status, bridge })).into_response()
}

pub(super) async fn metrics(State(metrics): State<Metrics>) -> Response {
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "rendering the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
