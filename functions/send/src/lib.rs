//! The send component: makes messages durable in the outbox. It reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use wiber_component::{Incoming, System, service, settings};
use wiber_handlers::{Answer, Head};

service!(send);

async fn send(head: &Head, body: &mut Incoming) -> Answer {
    let settings = settings().await;
    let outbox = store::Store::new(&settings);
    wiber_handlers::send::respond(head, body, &outbox, &System, &settings).await
}
