//! What the functions decide: which path this is, whether the request is well formed, what to ask for, what to answer.
//!
//! Entry points, one a component: [`send::respond`], [`fetch::respond`], [`outbox::respond`], [`status::respond`].
//! Outbox, bridge, clock and randomness are traits, so everything here runs natively in tests. This crate knows neither
//! spin-sdk nor SQLite nor any HTTP server.

mod answer;
mod body;
mod bridge;
mod context;
mod cors;
mod headers;
mod json;
mod link;
mod parameters;
mod problem;
mod route;
mod settings;

pub mod fetch;
pub mod outbox;
pub mod send;
pub mod status;

#[cfg(test)]
mod fakes;

pub use answer::Answer;
pub use body::{Body, BodyError};
pub use bridge::{Bridge, BridgeAnswer, Unreachable};
pub use context::Entropy;
pub use settings::{Settings, SettingsError};

/// The request without its body: what every component is handed.
pub type Head = http::request::Parts;
