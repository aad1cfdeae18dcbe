//! The outbox component, for the bridge only: leases the outbox, lists its rows, marks and settles exact ones. It needs
//! the bridge's token and reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use wiber_component::{System, answer, settings, split};

#[http_service]
async fn outbox(request: Request) -> impl IntoResponse {
    let (head, mut body) = split(request);
    let settings = settings().await;
    let drain = store::Store::new(&settings);
    answer(wiber_handlers::outbox::respond(&head, &mut body, &drain, &System, &settings).await)
}
