//! The outbox component, for the bridge only: leases the outbox, lists its rows, marks and settles exact ones. It needs
//! the bridge's token and reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use wiber_component::{System, serve, settings};

struct Outbox;

spin_sdk::wasip3::http::service::export!(Outbox);

impl Guest for Outbox {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        serve(request, async |head, body| {
            let settings = settings().await;
            let drain = store::Store::new(&settings);
            wiber_handlers::outbox::respond(head, body, &drain, &System, &settings).await
        })
        .await
    }
}
