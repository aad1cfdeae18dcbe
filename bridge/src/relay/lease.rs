//! Holds the lease of one outbox. It decides who reads and saves duplicates; correctness never rests on it.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::source::{self, Error, Source};
use crate::backoff::pause;
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

/// Takes and renews the lease until `stop`, then gives it up.
pub(super) async fn keep(
    source: Source,
    held: watch::Sender<Held>,
    board: Board,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let note = format!("outbox-{}", source.url());
    let mut backoff = source::backoff();
    loop {
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            answer = source.lease(TTL) => answer,
        };
        let go_on = match answer {
            Ok(answer) => {
                board.clear_note(&note);
                backoff.reset();
                show(&source, &held, Some(answer.outbox_id));
                pause(RENEWAL, &stop).await
            }
            Err(error) => {
                note_error(&source, &board, &note, &error);
                metrics.count_retry(Operation::Outbox);
                // An outbox that does not answer lets no other relay read either; whatever this one still has in
                // flight makes duplicates at most. Only another holder ends a session.
                if matches!(error, Error::LeaseHeld { .. }) {
                    show(&source, &held, None);
                }
                backoff.wait(&stop).await
            }
        };
        if !go_on {
            break;
        }
    }
    if held.send_replace(Held::default()).outbox_id.is_some()
        && let Err(error) = source.release().await
    {
        tracing::info!(outbox = source.url(), error = %Chain(&error), "the lease was not given up and will expire");
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
