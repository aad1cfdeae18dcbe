//! The bridge: relays outboxes into Kafka, writes Kafka to MongoDB, answers queries.
//!
//! Entry points: [`config::Config::read`] and [`app::App`]. It knows the outbox only by its HTTP protocol, and nothing
//! of the functions' code or of how an outbox keeps its rows.

pub mod api;
pub mod app;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod kafka;
mod mutant;
pub mod relay;
pub mod report;
pub mod signals;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod store;
pub mod telemetry;
