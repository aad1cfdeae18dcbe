//! The status component: health, one message's state, the welcome and every unknown path. It may open the outbox and
//! reach the bridge, and writes nothing: `query_only` is set on every connection.
#![cfg(target_family = "wasm")]

mod store;

use wiber_component::{HttpBridge, Incoming, System, service, settings};
use wiber_handlers::{Answer, Head};

service!(status);

async fn status(head: &Head, _: &mut Incoming) -> Answer {
    let settings = settings().await;
    let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
    let view = store::Store::new(&settings);
    wiber_handlers::status::respond(head, &view, &bridge, &System, &settings).await
}
