//! The fetch component: conversations, timelines and counts, asked of the bridge. It opens no database.
#![cfg(target_family = "wasm")]

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use wiber_component::{HttpBridge, System, answer, settings, split};

#[http_service]
async fn fetch(request: Request) -> impl IntoResponse {
    let (head, _) = split(request);
    let settings = settings().await;
    let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
    answer(wiber_handlers::fetch::respond(&head, &bridge, &System, &settings).await)
}
