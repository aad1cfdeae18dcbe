//! Store, consumer and relay against a real Kafka and a real MongoDB. The whole system is tested in `tests/`; here are
//! the cases that need these two alone: query plans, repeats, poison, rebalances, gaps, outboxes that break their
//! protocol.

mod consumer;
mod faults;
mod gaps;
mod harness;
mod outbox;
mod queries;
mod relay;
mod together;
mod topics;
mod writes;
