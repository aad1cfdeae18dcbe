//! The send component: makes messages durable in the outbox. It reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use wiber_component::{System, answer_to, settings, split};

#[http_service]
async fn send(request: Request) -> impl IntoResponse {
    let (head, mut body) = split(request);
    let settings = settings().await;
    let outbox = store::Store::new(&settings);
    let answer = wiber_handlers::send::respond(&head, &mut body, &outbox, &System, &settings).await;
    answer_to(body, answer)
}
