//! Holds the lease of one outbox. It decides who reads and saves duplicates; correctness never rests on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::source::{self, Error, Source};
use crate::report::Chain;
use crate::status::Board;
use crate::telemetry::{Metrics, Operation};

/// How long the outbox keeps the lease for a relay that says nothing more.
const TTL: Duration = Duration::from_secs(5);
/// A third of it, so that two renewals may fail.
const RENEWAL: Duration = Duration::from_millis(1_666);

/// Whether the lease is held, and of which outbox file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// The outbox's id while the lease is held.
    pub(super) outbox_id: Option<String>,
}

/// A name for this process that no other has, even after a restart: a new process must not act on what an old one of
/// the same name left in flight.
pub(super) fn holder_name(instance_id: Option<&str>) -> String {
    format!("{}-{:016x}", instance_id.unwrap_or("relay"), rand::random::<u64>())
}

/// Takes and renews the lease of one outbox.
pub(super) struct Keeper {
    pub(super) source: Source,
    pub(super) held: watch::Sender<Held>,
    /// Rung when a read was refused.
    pub(super) renew: Arc<Notify>,
    /// How long giving the lease up may take.
    pub(super) release_limit: Duration,
    pub(super) board: Board,
    pub(super) metrics: Metrics,
}

impl Keeper {
    /// Keeps the lease until `stop`, then gives it up.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
        if self.held.send_replace(Held::default()).outbox_id.is_none() {
            return;
        }
        let outbox = self.source.url();
        match tokio::time::timeout(self.release_limit, self.source.release()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::info!(outbox, error = %Chain(&error), "the lease was not given up and will expire")
            }
            Err(_) => tracing::info!(outbox, "the lease was not given up in time and will expire"),
        }
    }

    async fn keep(&self) {
        let note = format!("outbox-{}", self.source.url());
        let mut backoff = source::backoff();
        loop {
            match self.source.lease(TTL).await {
                Ok(answer) => {
                    self.board.clear_note(&note);
                    backoff.reset();
                    show(&self.source, &self.held, Some(answer.outbox_id));
                    // Rung or not, it is renewed next.
                    let _ = tokio::time::timeout(RENEWAL, self.renew.notified()).await;
                }
                Err(error) => {
                    note_error(&self.source, &self.board, &note, &error);
                    self.metrics.count_retry(Operation::Outbox);
                    // An outbox that does not answer lets no other relay read either; whatever this one still has in
                    // flight makes duplicates at most. Only another holder ends a session.
                    if matches!(error, Error::LeaseHeld { .. }) {
                        show(&self.source, &self.held, None);
                    }
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }
}

fn show(source: &Source, held: &watch::Sender<Held>, outbox_id: Option<String>) {
    held.send_if_modified(|now| {
        let changed = now.outbox_id != outbox_id;
        if changed {
            tracing::info!(
                outbox = source.url(),
                outbox_id,
                "{}",
                if outbox_id.is_some() { "lease taken" } else { "lease lost" }
            );
            now.outbox_id = outbox_id;
        }
        changed
    });
}

fn note_error(source: &Source, board: &Board, note: &str, error: &Error) {
    match error {
        // Waiting for another relay to end is the work of a standby.
        Error::LeaseHeld { .. } => board.clear_note(note),
        Error::Token { .. } => board.set_note(note, format!("outbox {} refuses the token", source.url())),
        Error::Unreachable { .. } => board.set_note(note, format!("outbox {} is unreachable", source.url())),
        Error::Refused { .. } | Error::Unavailable { .. } | Error::TooLarge { .. } | Error::Answer { .. } => {
            board.set_note(note, format!("outbox {} cannot be drained", source.url()));
        }
    }
    tracing::debug!(outbox = source.url(), error = %Chain(error), "no lease");
}
