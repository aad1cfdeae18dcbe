//! Holds the lease of one outbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::LeaseAnswer;

use super::source::{self, Error, Source};
use super::tenure::{Answer, Held, NextCall, Tenure};
use crate::report::Chain;
use crate::status::Board;
use crate::telemetry::{Metrics, Operation};

/// How long an outbox that refuses writes is asked for its id.
const ASK_LIMIT: Duration = Duration::from_millis(500);

/// A name for one outbox's relay that no other has, even after a restart: a new process must not act on what an old one of
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
    /// The outbox that could not keep the last write.
    pub(super) refused: Mutex<Option<String>>,
}

impl Keeper {
    /// Keeps the lease until `stop`, then gives it up.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
        if self.held.send_replace(Held::default()).tenure.is_none() {
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
            match self.call(&note).await {
                NextCall::Renew(wait) => {
                    backoff.reset();
                    // Rung or not, it is renewed next.
                    let _ = tokio::time::timeout(wait, self.renew.notified()).await;
                }
                NextCall::Retry => tokio::time::sleep(backoff.next_wait()).await,
            }
        }
    }

    async fn call(&self, note: &str) -> NextCall {
        let called = Instant::now();
        let ttl = self.held.borrow().ttl();
        let outcome = self.source.lease(ttl).await;
        let took = called.elapsed();
        match &outcome {
            Ok(_) => {
                self.board.clear_note(note);
                self.clear_refusal();
            }
            Err(error) => {
                note_error(&self.source, &self.board, note, error);
                self.metrics.count_retry(Operation::Outbox);
                if matches!(error, Error::LeaseHeld { .. }) {
                    // How its disk is shows to the one that writes.
                    self.clear_refusal();
                } else {
                    self.note_refusal(error).await;
                }
            }
        }
        let mut held = self.held.borrow().clone();
        let next = held.answered(meaning(outcome), took);
        show(&self.source, &self.held, held);
        next
    }

    /// A lease is a write: where the outbox cannot keep it, it cannot keep a message either, and whoever asks whether the
    /// outbox accepts should hear that.
    async fn note_refusal(&self, error: &Error) {
        let Error::Unavailable { status, detail, .. } = error else { return };
        if *status != StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        let held = self.held.borrow().tenure.clone();
        let outbox_id = match held {
            Some(tenure) => Some(tenure.outbox_id),
            // Reading may work where writing does not.
            None => tokio::time::timeout(ASK_LIMIT, self.source.statistics())
                .await
                .ok()
                .and_then(|answer| answer.ok().map(|statistics| statistics.outbox_id)),
        };
        if let Some(outbox_id) = outbox_id {
            self.clear_refusal();
            self.board.set_refusal(outbox_id.clone(), detail.clone());
            *self.refused() = Some(outbox_id);
        }
    }

    fn clear_refusal(&self) {
        if let Some(outbox_id) = self.refused().take() {
            self.board.clear_refusal(&outbox_id);
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn meaning(outcome: Result<LeaseAnswer, Error>) -> Answer {
    match outcome {
        Ok(answer) => Answer::Granted(Tenure { outbox_id: answer.outbox_id, number: answer.tenure }),
        Err(Error::LeaseHeld { .. }) => Answer::HeldByAnother,
        Err(_) => Answer::Silence,
    }
}

/// What a call for the lease, for as long as the keeper takes it, says of a tenure: whether it goes on, `None` if nobody
/// knows.
pub(super) async fn ask(source: &Source, begun: &Tenure, ttl: Duration) -> Option<bool> {
    begun.goes_on(&meaning(source.lease(ttl).await))
}

fn show(source: &Source, shown: &watch::Sender<Held>, held: Held) {
    shown.send_if_modified(|now| {
        let changed = now.tenure != held.tenure;
        if changed {
            let outbox_id = held.tenure.as_ref().map(|tenure| tenure.outbox_id.as_str());
            let tenure = held.tenure.as_ref().and_then(|tenure| tenure.number);
            let what = if outbox_id.is_some() { "lease taken" } else { "lease lost" };
            tracing::info!(outbox = source.url(), outbox_id, tenure, "{what}");
        }
        *now = held;
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
