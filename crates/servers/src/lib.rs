//! Gets a real Kafka and a real MongoDB, and starts them and other programs on this machine, so that none outlives this
//! process, however it ends.
//!
//! Entry points: [`tools::ensure`] (downloads once), [`kafka::start`], [`mongo::start`], [`process::Process`] (any other
//! program). Everything listens on 127.0.0.1 only.
//! This crate knows nothing of Wiber's messages, settings or tests, and links no Kafka or MongoDB client: `cargo xtask`
//! must be built and started quickly.

mod error;

pub mod command;
pub mod kafka;
pub mod mongo;
pub mod ports;
pub mod process;
pub mod progress;
pub mod tools;

pub use error::Error;
