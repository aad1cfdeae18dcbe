//! Frees the rows whose messages are stored or dead-lettered, as MongoDB's majority says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::{ROWS_MAX, RowRef, UnsettledAnswer};

use super::forgotten::Forgotten;
use super::send_again::SendAgain;
use super::source::{self, Source};
use super::tenure::Held;
use super::walk::{Page, Walk};
use crate::backoff::Backoff;
use crate::kafka::lag::Lag;
use crate::mutant::Mutant;
use crate::report::Chain;
use crate::store::{self, Store};
use crate::telemetry::{Metrics, Stage};

/// Between two rounds while rows are settled: about what a message needs to be stored.
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// Between two rounds while rows wait and none is settled, as when a partition stands still.
const STUCK_WAIT_MAX: Duration = Duration::from_secs(2);
/// Between two pages of a walk where few rows are settled.
const STUCK_PAGE_WAIT: Duration = Duration::from_millis(50);
/// Between two looks while nothing is published.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// What the settling of one outbox is made of.
pub(super) struct Settle {
    pub(super) source: Source,
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) held: watch::Receiver<Held>,
    pub(super) lag: watch::Receiver<Option<Lag>>,
    /// Rung when rows were marked as published.
    pub(super) published: Arc<Notify>,
    pub(super) send_again: Arc<SendAgain>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Outbox(#[from] source::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Settle {
    /// Settles until shutdown, while this relay holds the lease: others would only repeat its questions.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&mut self) {
        let mut forgotten = Forgotten::default();
        let mut backoff = Backoff::new(BUSY_WAIT, STUCK_WAIT_MAX);
        let mut failing = false;
        loop {
            // The sender lives as long as the lease's keeper, which outlives this task.
            if self.held.wait_for(|held| held.tenure.is_some()).await.is_err() {
                return;
            }
            match self.round(&mut forgotten).await {
                Ok((0, _)) => {
                    failing = false;
                    backoff.reset();
                    self.idle().await;
                }
                Ok((_, settled)) => {
                    failing = false;
                    if settled > 0 {
                        backoff.reset();
                    }
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                Err(error) => {
                    if !failing {
                        tracing::info!(outbox = self.source.url(), error = %Chain(&error), "settling waits");
                    }
                    failing = true;
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    async fn idle(&self) {
        let rung = tokio::time::timeout(IDLE_WAIT, self.published.notified()).await.is_ok();
        if rung {
            tokio::time::sleep(BUSY_WAIT).await;
        }
    }

    /// One walk over all published rows; returns how many there were and how many of them were settled.
    async fn round(&self, forgotten: &mut Forgotten) -> Result<(usize, usize), Error> {
        // Measured before the rows are asked for: what the group had passed then is settled by now, if it ever will be.
        let lag = self.lag.borrow().clone();
        let mut walk = Walk::default();
        loop {
            let page = self.page(&mut walk).await?;
            if page.is_last {
                break;
            }
            if page.is_stuck {
                tokio::time::sleep(STUCK_PAGE_WAIT).await;
            }
        }
        if self.send_again.is_under_way() {
            forgotten.begin_anew();
        } else if let Some(position) = self.forgotten(forgotten, lag.as_ref(), &walk) {
            tracing::warn!(
                outbox = self.source.url(),
                position,
                "Kafka no longer has a row that it acknowledged; all unsettled rows are sent again"
            );
            self.send_again.ask();
        }
        Ok((walk.rows, walk.settled))
    }

    fn forgotten(&self, forgotten: &mut Forgotten, lag: Option<&Lag>, walk: &Walk) -> Option<i64> {
        let latest_round = self.lag.borrow().as_ref().map(|latest| latest.round);
        forgotten.look(&walk.lowest, lag?, latest_round?)
    }

    async fn page(&self, walk: &mut Walk) -> Result<Page, Error> {
        let UnsettledAnswer { outbox_id, rows } = self.source.unsettled(walk.after, ROWS_MAX).await?;
        let refs: Vec<RowRef> = rows.iter().cloned().map(RowRef::from).collect();
        let settled = if Mutant::DeleteOnPublish.is_on() {
            refs.iter().map(|row| row.position).collect()
        } else {
            self.store.settled(&outbox_id, &refs).await?
        };
        let mut page = walk.page(rows, &settled);
        if !page.free.is_empty() {
            let free = std::mem::take(&mut page.free);
            self.metrics.observe_batch(Stage::Settle, free.len());
            let changed = self.source.settle(free).await?.changed;
            self.metrics.messages_settled_total.with_label_values(&[self.source.url()]).inc_by(changed);
        }
        Ok(page)
    }
}
