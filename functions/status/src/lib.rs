//! The status component: health, one message's state, the welcome and every unknown path. It may open the outbox and
//! reach the bridge, and writes nothing: `query_only` is set on every connection.
#![cfg(target_family = "wasm")]

mod store;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use wiber_component::{HttpBridge, System, serve, settings};

struct Status;

spin_sdk::wasip3::http::service::export!(Status);

impl Guest for Status {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        serve(request, async |head, _| {
            let settings = settings().await;
            let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
            let view = store::Store::new(&settings);
            wiber_handlers::status::respond(head, &view, &bridge, &System, &settings).await
        })
        .await
    }
}
