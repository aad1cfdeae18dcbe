//! The bridge: relays outboxes into Kafka, writes Kafka to MongoDB, answers queries.
//!
//! Entry points: [`config::Config::read`] and [`app::App`]. It knows the outbox only by its HTTP protocol, and nothing
//! of the functions' code or of how an outbox keeps its rows.

pub mod backoff;
pub mod config;
pub mod kafka;
pub mod report;
pub mod status;
pub mod telemetry;
