//! The status component: health, one message's state, the welcome and every unknown path. It may open the outbox and
//! reach the bridge, and writes nothing: `query_only` is set on every connection.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use wiber_component::{HttpBridge, System, answer, settings, split};

#[http_service]
async fn status(request: Request) -> impl IntoResponse {
    let (head, _) = split(request);
    let settings = settings().await;
    let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
    let view = store::Store::new(&settings);
    answer(wiber_handlers::status::respond(&head, &view, &bridge, &System, &settings).await)
}
