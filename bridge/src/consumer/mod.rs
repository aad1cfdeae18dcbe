//! Kafka to MongoDB: every record stored once, in order, or dead-lettered.
//!
//! Entry point: [`run`]. A group ([`group`](self)) owns one task a partition; the tasks gather records, and two pure
//! parts decide: `sequence` (heads, known ids and messages to the next write) and `offsets` (what may be committed).
//! This module knows nothing of outboxes beyond their ids, and nothing of HTTP.

mod client;
mod committer;
mod committing;
mod dead_letter;
mod epochs;
mod gap;
#[cfg(test)]
mod gap_model;
mod gather;
mod group;
mod heads;
mod incarnation;
mod membership;
mod offsets;
mod partition;
mod rebalance;
mod record;
mod retry;
mod sequence;
#[cfg(test)]
mod sequence_model;
mod settings;
mod settled;
#[cfg(test)]
pub(crate) mod simulated;
mod slot;
mod survey;
mod triage;
mod unowned;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::backoff::Backoff;
use crate::config;
use crate::kafka::{self, Inspector};
use crate::status::Board;
use crate::store::Store;
use crate::telemetry::Metrics;

use client::Client;
use dead_letter::DeadLetters;
use group::{Callbacks, End, Group};
use incarnation::Incarnation;
use membership::Membership;
use partition::Shared;
use rebalance::Context;

const CLIENT_NOTE: &str = "consumer-client";
/// A membership that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(30);
/// How much longer than a session a member stays outside that the group must miss.
const OUTSIDE: Duration = Duration::from_secs(1);

/// What the consumer is made of.
#[derive(Debug)]
pub struct Parts {
    /// Kafka's settings.
    pub kafka: config::Kafka,
    /// Static group membership under this name.
    pub instance_id: Option<String>,
    /// The outboxes that must send again before a gap is passed.
    pub outbox_urls: Vec<Url>,
    /// Questions about the topic.
    pub inspector: Inspector,
    /// MongoDB.
    pub store: Store,
    /// Notes for operators.
    pub board: Board,
    /// Metrics.
    pub metrics: Metrics,
    /// How long the write in flight of a partition that is given up may take.
    pub drain_limit: Duration,
    /// How long leaving the group may take.
    pub close_limit: Duration,
}

/// Why the consumer cannot work, however long it waits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The linked library is too old.
    #[error("librdkafka {found} is linked, but 2.10 or later is needed for cooperative rebalancing")]
    OutdatedLibrary {
        /// Its version.
        found: String,
    },
    /// librdkafka refuses the settings.
    #[error("the Kafka client cannot be made from its settings")]
    Client(#[source] KafkaError),
    /// The same for the producer of dead letters, or the system gives it no thread.
    #[error("the producer of dead letters cannot be made")]
    DeadLetters(#[source] kafka::Error),
    /// The system gives no thread.
    #[error("a thread for commits cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Consumes until shutdown, whatever comes up or goes down in the meantime, and returns when everything it started has
/// ended.
///
/// # Errors
/// If it can never work: the library is too old or the settings are refused.
pub async fn run(parts: Parts, shutdown: CancellationToken) -> Result<(), Error> {
    if let Some(found) = settings::outdated_library() {
        return Err(Error::OutdatedLibrary { found });
    }
    let dead_letters = DeadLetters::new(&parts.kafka).map_err(Error::DeadLetters)?;
    if !parts.store.prepared(&parts.board, &shutdown).await {
        return Ok(());
    }
    let shared = Shared {
        topic: Arc::from(parts.kafka.topic.as_str()),
        store: parts.store.clone(),
        dead_letters,
        metrics: parts.metrics.clone(),
    };
    let mut backoff = Backoff::for_servers();
    loop {
        let begun = Instant::now();
        let (reason, must_be_missed) = match join(&parts, &shared)?.run(&shutdown).await {
            End::Shutdown => return Ok(()),
            End::Restart(reason) => (reason, false),
            End::Unowned(partitions) => (format!("partitions {partitions:?} belonged to nobody"), true),
        };
        parts.board.set_note(CLIENT_NOTE, format!("the consumer joins its group anew: {reason}"));
        if must_be_missed {
            stay_outside(&parts, &shutdown).await;
        }
        if begun.elapsed() >= LASTING {
            backoff.reset();
        }
        if !backoff.wait(&shutdown).await {
            return Ok(());
        }
        parts.board.clear_note(CLIENT_NOTE);
    }
}

/// Waits until the group misses this member. One that has a name of its own (KIP-345) is given what it had, and nothing is
/// given out again, if it comes back within its session.
async fn stay_outside(parts: &Parts, shutdown: &CancellationToken) {
    if parts.instance_id.is_some() {
        let session = Duration::from_millis(parts.kafka.session_timeout_ms.into());
        let _ = timeout(session + OUTSIDE, shutdown.cancelled()).await;
    }
}

fn join<'a>(parts: &'a Parts, shared: &Shared) -> Result<Group<'a>, Error> {
    let (events, events_rx) = unbounded_channel();
    let (commits, commits_rx) = unbounded_channel();
    let incarnation = Arc::new(Incarnation::new(&parts.kafka.topic));
    let membership = Membership::new(Duration::from_millis(parts.kafka.session_timeout_ms.into()));
    let context = Context::new(&parts.kafka.topic, events, Arc::clone(&incarnation), membership, parts.board.clone());
    let config = settings::consumer_config(&parts.kafka, parts.instance_id.as_deref());
    let consumer: StreamConsumer<Context> = config.create_with_context(context).map_err(Error::Client)?;
    consumer.subscribe(&[&parts.kafka.topic]).map_err(Error::Client)?;
    let callbacks = Callbacks { events: events_rx, commits: commits_rx };
    let client = Client::new(consumer, Arc::clone(&shared.topic), incarnation, commits).map_err(Error::Thread)?;
    Ok(Group::new(parts, shared.clone(), client, callbacks))
}
