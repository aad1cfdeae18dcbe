//! Frees the rows whose messages are stored or dead-lettered, as MongoDB's majority says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::{ROWS_MAX, RowRef, UnsettledAnswer, UnsettledRow};

use super::forgotten::Forgotten;
use super::lease::Held;
use super::send_again::SendAgain;
use super::source::{self, Source};
use crate::backoff::Backoff;
use crate::kafka::lag::Lag;
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

/// What one page brought.
struct Page {
    rows: usize,
    settled: usize,
    next_after: i64,
    /// Of each partition.
    lowest_unsettled: BTreeMap<i32, UnsettledRow>,
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
            if self.held.wait_for(|held| held.outbox_id.is_some()).await.is_err() {
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
        let (mut rows, mut settled, mut after) = (0, 0, 0);
        let mut lowest = BTreeMap::new();
        loop {
            let page = self.page(after).await?;
            rows += page.rows;
            settled += page.settled;
            for (partition, row) in page.lowest_unsettled {
                lowest.entry(partition).or_insert(row);
            }
            after = page.next_after;
            if page.rows < ROWS_MAX as usize {
                break;
            }
            // Rows of a partition that stands still must not hide those behind them, nor keep MongoDB busy.
            if page.settled * 2 < page.rows {
                tokio::time::sleep(STUCK_PAGE_WAIT).await;
            }
        }
        if self.send_again.is_under_way() {
            forgotten.begin_anew();
        } else if let Some(position) = lag.and_then(|lag| forgotten.look(&lowest, &lag)) {
            tracing::warn!(
                outbox = self.source.url(),
                position,
                "Kafka no longer has a row that it acknowledged; all unsettled rows are sent again"
            );
            self.send_again.ask();
        }
        Ok((rows, settled))
    }

    async fn page(&self, after: i64) -> Result<Page, Error> {
        let UnsettledAnswer { outbox_id, rows } = self.source.unsettled(after, ROWS_MAX).await?;
        let refs: Vec<RowRef> = rows.iter().cloned().map(RowRef::from).collect();
        let known = self.store.settled(&outbox_id, &refs).await?;
        let (count, next_after) = (rows.len(), rows.last().map_or(after, |row| row.position));
        let (free, kept): (Vec<UnsettledRow>, Vec<UnsettledRow>) =
            rows.into_iter().partition(|row| known.contains(&row.position));
        let mut lowest_unsettled = BTreeMap::new();
        for row in kept {
            lowest_unsettled.entry(row.partition).or_insert(row);
        }
        let page = Page { rows: count, settled: free.len(), next_after, lowest_unsettled };
        if !free.is_empty() {
            let changed = self.source.settle(free.into_iter().map(RowRef::from).collect()).await?.changed;
            self.metrics.observe_batch(Stage::Settle, page.settled);
            self.metrics.messages_settled_total.with_label_values(&[self.source.url()]).inc_by(changed);
        }
        Ok(page)
    }
}
