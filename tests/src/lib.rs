//! The harness of the tests in `it/`: it starts the real Kafka, the real MongoDB, the host and the bridge, speaks HTTP to
//! them byte for byte, and judges what became of every message.
//!
//! Entry points: [`site::Site`] (one deployment that many tests share and none disturbs), [`stack::Stack`] (a deployment of
//! a test's own, to be killed, paused and cut off), [`checker`] (lost, doubled, misordered, unseen).
//! It knows the system's contract only (HTTP, records, documents, settings) and none of its code but `wiber-model`.

pub mod answer;
pub mod binaries;
pub mod bridge;
pub mod checker;
pub mod client;
pub mod host;
pub mod kafka;
pub mod load;
pub mod manifest;
pub mod mongo;
pub mod names;
pub mod node;
pub mod ports;
pub mod proxy;
pub mod raw;
pub mod run;
pub mod send;
pub mod servers;
pub mod shape;
pub mod site;
pub mod stack;
pub mod tracer;
pub mod trial;
pub mod versions;
pub mod wait;
