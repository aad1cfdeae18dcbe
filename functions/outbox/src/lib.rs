//! The outbox component, for the bridge only: leases the outbox, lists its rows, marks and settles exact ones. It needs
//! the bridge's token and reaches no host.
#![cfg(target_family = "wasm")]

mod store;

use wiber_component::{Incoming, System, service, settings};
use wiber_handlers::{Answer, Head};

service!(outbox);

async fn outbox(head: &Head, body: &mut Incoming) -> Answer {
    let settings = settings().await;
    let drain = store::Store::new(&settings);
    wiber_handlers::outbox::respond(head, body, &drain, &System, &settings).await
}
