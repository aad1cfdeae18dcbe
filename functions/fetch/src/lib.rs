//! The fetch component: conversations, timelines and counts, asked of the bridge. It opens no database.
#![cfg(target_family = "wasm")]

use wiber_component::{HttpBridge, Incoming, System, service, settings};
use wiber_handlers::{Answer, Head};

service!(fetch);

async fn fetch(head: &Head, _: &mut Incoming) -> Answer {
    let settings = settings().await;
    let bridge = HttpBridge { settings: (*settings).as_ref().ok() };
    wiber_handlers::fetch::respond(head, &bridge, &System, &settings).await
}
