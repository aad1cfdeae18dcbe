//! The fetch component: conversations, timelines and counts, asked of the bridge. It opens no database.
#![cfg(target_family = "wasm")]

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use wiber_component::{HttpBridge, System, serve, settings};

struct Fetch;

spin_sdk::wasip3::http::service::export!(Fetch);

impl Guest for Fetch {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        serve(request, async |head, _| {
            let settings = settings().await;
            let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
            wiber_handlers::fetch::respond(head, &bridge, &System, &settings).await
        })
        .await
    }
}
