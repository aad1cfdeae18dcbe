//! What the four components share: the adapters between spin-sdk and the handlers. Builds for wasm32-wasip2 only.
//!
//! Entry points: [`service`] around a handler, [`settings`], [`System`], [`HttpBridge`] and, with the feature `outbox`,
//! [`Connections`]. Nothing here decides anything, and nothing of one user's request is kept for the next: only settings
//! and connections outlive a request.

#[cfg(target_family = "wasm")]
mod bridge;
#[cfg(target_family = "wasm")]
mod companion;
#[cfg(target_family = "wasm")]
mod http;
#[cfg(target_family = "wasm")]
mod large;
#[cfg(all(target_family = "wasm", feature = "outbox"))]
mod outbox;
#[cfg(target_family = "wasm")]
mod settings;
#[cfg(target_family = "wasm")]
mod system;

#[cfg(target_family = "wasm")]
pub use crate::{
    bridge::HttpBridge,
    http::{Incoming, serve},
    settings::settings,
    system::System,
};

#[cfg(all(target_family = "wasm", feature = "outbox"))]
pub use crate::outbox::{CONDITION_LIMIT, Connections, bounds, condition, report, within};
