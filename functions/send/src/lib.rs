//! The send component: makes messages durable in the outbox. It reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use wiber_component::{System, serve, settings};

struct Send;

spin_sdk::wasip3::http::service::export!(Send);

impl Guest for Send {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        serve(request, async |head, body| {
            let settings = settings().await;
            let outbox = store::Store::new(&settings);
            wiber_handlers::send::respond(head, body, &outbox, &System, &settings).await
        })
        .await
    }
}
