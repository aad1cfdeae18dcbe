//! Outbox to Kafka: leases each outbox, produces its rows in order, marks what Kafka acknowledged, frees what is stored.
//!
//! Entry point: [`run`]. The rule of what is sent, marked and sent again is in [`session`], which is pure. This module
//! knows the outbox by its HTTP protocol and MongoDB by what the store answers; it decides nothing about messages.

mod addresses;
mod chores;
mod course;
mod drain;
mod ending;
mod forgotten;
mod gaps;
mod gather;
mod headroom;
mod identity;
mod lease;
mod outbox;
mod producer;
mod record;
mod run;
mod send_again;
mod session;
#[cfg(test)]
mod session_model;
mod settle;
#[cfg(test)]
pub(crate) mod simulated;
mod source;
mod statistics;
mod tenure;
mod view;
mod walk;

pub use view::{View, ViewError};

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Secret;
use crate::kafka::lag::Lag;
use crate::kafka::{self, Inspector};
use crate::status::Board;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What the relay is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The outboxes to drain.
    pub outbox_urls: Vec<Url>,
    /// Shown to them.
    pub outbox_token: Secret,
    /// The first half of the lease holder's name.
    pub instance_id: Option<String>,
    /// How long the steps of a shutdown may take, one after the other.
    pub limits: Limits,
    /// Kafka.
    pub inspector: Inspector,
    /// MongoDB.
    pub store: Store,
    /// Notes for operators.
    pub board: Board,
    /// Metrics.
    pub metrics: Metrics,
    /// How far the consumer group is behind.
    pub lag: watch::Receiver<Option<Lag>>,
}

/// How long the steps of a shutdown may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Waiting for what is in flight to be acknowledged.
    pub flush: Duration,
    /// Marking what was acknowledged.
    pub mark: Duration,
    /// Giving the lease up.
    pub release: Duration,
}

/// Why the relay cannot go on; everything that waiting can heal is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka's topics must not be used as they are, or a client cannot be made.
    #[error("preparing Kafka for the relay")]
    Kafka(#[from] kafka::Error),
    /// The HTTP client cannot be made.
    #[error("making the HTTP client for the outboxes")]
    Http(#[source] reqwest::Error),
    /// A part of the relay panicked.
    #[error("a task of the relay ended abnormally")]
    Task(#[from] tokio::task::JoinError),
}

/// Drains every outbox until shutdown; returns when everything it started has ended.
///
/// # Errors
/// The first error that only an operator can help.
pub async fn run(parts: Parts, shutdown: CancellationToken) -> Result<(), Error> {
    if parts.outbox_token.is_empty() {
        parts.board.set_note("outbox-token", "WIBER_OUTBOX_TOKEN is empty: every outbox refuses this relay");
    }
    let http = source::http_client().map_err(Error::Http)?;
    let (open_gaps, gaps_seen) = watch::channel(Vec::new());
    // One outbox that cannot go on stops the others too, in order.
    let stop = shutdown.child_token();
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (store, topic, stop) = (parts.store.clone(), parts.inspector.topic().to_owned(), stop.clone());
        async move {
            gaps::watch(store, topic, open_gaps, stop).await;
            Ok(())
        }
    });
    let addresses = addresses::Addresses::new(parts.board.clone());
    for url in &parts.outbox_urls {
        // One for each URL: two that lead to one outbox must not both hold its lease.
        let holder = lease::holder_name(parts.instance_id.as_deref());
        let source = source::Source::new(http.clone(), url, parts.outbox_token.clone(), holder);
        tasks.spawn(outbox::run(parts.clone(), source, addresses.clone(), gaps_seen.clone(), stop.clone()));
    }
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(Error::from).flatten();
        if outcome.is_ok() && ended.is_err() {
            outcome = ended;
            stop.cancel();
        }
    }
    outcome
}
