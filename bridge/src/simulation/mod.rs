//! The whole system in virtual time, from a seed: outboxes, Kafka and MongoDB as models, relays and consumers made of the
//! real rules, and accidents of every kind; a checker that knows what was accepted.
//!
//! Entry point: [`run`](scenario::run). `relay::simulated` and `consumer::simulated` hold the processes; this module holds
//! the world around them and knows nothing of their rules. See `guides/simulation.md` for how to use it and for what the
//! models leave out.

mod ask;
mod check;
mod engine;
mod fault;
mod group;
mod kafka;
mod mongo;
mod mutant;
mod outbox;
mod process;
mod scenario;
mod tests;
mod world;

pub(crate) use ask::{Lost, Reply, Server};
pub(crate) use check::{committed, freed};
pub(crate) use group::Assignment;
pub(crate) use kafka::{Partition, Record, Report, Reports};
pub(crate) use mutant::Mutant;
pub(crate) use process::Process;
pub(crate) use scenario::partition as partition_of;
pub(crate) use world::Watched;

/// The topic.
pub(crate) const TOPIC: &str = "t";
