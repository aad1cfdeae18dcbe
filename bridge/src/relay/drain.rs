//! Drains one outbox, session after session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::Which;

use super::chores::Chore;
use super::course::{After, Course};
use super::run::{self, Run};
use super::send_again::SendAgain;
use super::session::{End, Reach};
use super::source::Source;
use super::tenure::{Held, Tenure};
use super::{Error, Limits, lease, source};
use crate::backoff::Backoff;
use crate::kafka::{self, Inspector};
use crate::report::Chain;
use crate::status::Board;
use crate::store::{Gap, Resent, SentRun, Topic};
use crate::telemetry::{Metrics, Operation};

/// How long draining waits for MongoDB to know the outbox before it begins without.
const COMPARE_LIMIT: Duration = Duration::from_secs(2);

/// What draining is made of.
pub(super) struct Drain {
    pub(super) source: Source,
    pub(super) held: watch::Receiver<Held>,
    pub(super) gaps: watch::Receiver<Vec<Gap>>,
    pub(super) send_again: Arc<SendAgain>,
    /// Makes the lease's keeper renew it now.
    pub(super) renew: Arc<Notify>,
    pub(super) published: Arc<Notify>,
    pub(super) tell: mpsc::Sender<Chore>,
    /// The outbox id that MongoDB was told last, or will be as soon as it answers.
    pub(super) told: Option<String>,
    pub(super) inspector: Inspector,
    pub(super) board: Board,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
}

/// The topic, where brokers have ids, and what is sent again from where.
type Starts = (Option<Topic>, Vec<(Gap, Resent)>);

impl Drain {
    /// Drains until shutdown.
    ///
    /// # Errors
    /// Only what waiting cannot heal.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut backoff = Backoff::for_servers();
        let mut course = Course::default();
        let mut topics_verified = false;
        while let Some(tenure) = self.lease(shutdown).await {
            self.compare(&tenure.outbox_id, shutdown).await;
            if !topics_verified {
                topics_verified = kafka::ensure_ready(&self.inspector, &self.board, &self.metrics, shutdown).await?;
                // Waiting for Kafka may have taken longer than the lease.
                continue;
            }
            let mut gaps = course.waiting(self.source.url(), &self.gaps.borrow_and_update());
            if tenure.number.is_none() && !gaps.is_empty() {
                let outbox = self.source.url();
                tracing::warn!(outbox, "nothing is sent again for a log gap until the outbox is of this version");
                gaps.clear();
            }
            let resends = match shutdown.run_until_cancelled(self.starts(&tenure.outbox_id, gaps)).await {
                None => break,
                Some(Ok((topic, resends))) => {
                    // Brokers without ids tell nothing.
                    if let Some(topic) = topic
                        && course.begins_in(&topic.topic_id)
                    {
                        let _ = shutdown.run_until_cancelled(self.tell.send(Chore::Topic(topic))).await;
                    }
                    resends
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %Chain(&error), "the topic is unknown, so nothing is sent yet");
                    backoff.wait(shutdown).await;
                    continue;
                }
            };
            let which = course.which(!resends.is_empty());
            self.send_again.set_under_way(which == Which::Unsettled);
            let outcome = match Run::new(&mut self, tenure.clone(), which, &course) {
                Ok(run) => run.run(shutdown).await,
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => {
                    self.note_no_producer(&error);
                    backoff.wait(shutdown).await;
                    continue;
                }
            };
            if outcome.progressed {
                backoff.reset();
            }
            let end = match outcome.end {
                None => self.confirm(&tenure, shutdown).await,
                ended => ended,
            };
            match course.ended(end, outcome.send_again) {
                After::Record => {
                    self.send_again.set_under_way(false);
                    let resends = with_runs(resends, outcome.number, &outcome.reach);
                    shutdown.run_until_cancelled(self.record(resends, &mut course)).await;
                }
                After::Next => {}
                After::Pause => {
                    backoff.wait(shutdown).await;
                }
                After::Verify => {
                    self.metrics.count_retry(Operation::Produce);
                    topics_verified = false;
                    backoff.wait(shutdown).await;
                }
            }
        }
        Ok(())
    }

    /// Waits for the lease; `None` if shutdown came first.
    async fn lease(&mut self, shutdown: &CancellationToken) -> Option<Tenure> {
        let held = shutdown.run_until_cancelled(self.held.wait_for(|held| held.tenure.is_some())).await;
        if shutdown.is_cancelled() {
            return None;
        }
        held?.ok()?.tenure.clone()
    }

    /// Why a session that sent everything again ended too early all the same, if it did.
    async fn confirm(&self, tenure: &Tenure, shutdown: &CancellationToken) -> Option<End> {
        let mut backoff = source::backoff();
        loop {
            let ttl = self.held.borrow().ttl();
            match shutdown.run_until_cancelled(lease::ask(&self.source, tenure, ttl)).await {
                None => return Some(End::Shutdown),
                Some(Some(true)) => return None,
                Some(Some(false)) => return Some(End::LeaseLost),
                Some(None) => {
                    self.metrics.count_retry(Operation::Outbox);
                    backoff.wait(shutdown).await;
                }
            }
        }
    }

    /// Has MongoDB told once of each change of id: it need not answer for what was told before.
    async fn compare(&mut self, outbox_id: &str, shutdown: &CancellationToken) {
        if self.told.as_deref() == Some(outbox_id) {
            return;
        }
        let (done, compared) = oneshot::channel();
        let chore = Chore::Compare { outbox_id: outbox_id.to_owned(), done };
        let asked = async {
            // The receiver ends after this task.
            let _ = self.tell.send(chore).await;
            self.told = Some(outbox_id.to_owned());
            let _ = compared.await;
        };
        let asked = shutdown.run_until_cancelled(asked);
        if tokio::time::timeout(COMPARE_LIMIT, asked).await.is_err() {
            tracing::info!(outbox = self.source.url(), outbox_id, "draining begins before MongoDB knows the outbox");
        }
    }

    /// The topic and the ends of the gaps' partitions, now that nothing of an old session is in flight.
    async fn starts(&self, outbox_id: &str, gaps: Vec<Gap>) -> Result<Starts, kafka::Error> {
        let found = self.inspector.describe(self.inspector.topic()).await?;
        let topic = found
            .and_then(|found| Some(Topic { topic_id: found.id?, partitions: i32::try_from(found.partitions).ok()? }));
        let mut resends = Vec::with_capacity(gaps.len());
        for gap in gaps {
            let from_offset = self.inspector.watermarks(gap.partition).await?.high;
            let url = self.source.url().to_owned();
            resends.push((gap, Resent { url, outbox_id: outbox_id.to_owned(), from_offset, run: None }));
        }
        Ok((topic, resends))
    }

    fn note_no_producer(&self, error: &kafka::Error) {
        self.metrics.count_retry(Operation::Produce);
        let url = self.source.url();
        let text = format!("rows of outbox {url} do not reach Kafka: {}", Chain(error));
        self.board.set_note(run::note(url), text);
    }

    async fn record(&self, resends: Vec<(Gap, Resent)>, course: &mut Course) {
        for (gap, resent) in resends {
            tracing::info!(
                outbox = self.source.url(),
                partition = gap.partition,
                offset = resent.from_offset,
                "all unsettled rows were sent again for a log gap"
            );
            course.served(&gap);
            // The receiver ends after this task.
            let _ = self.tell.send(Chore::Resent { gap: Box::new(gap), resent }).await;
        }
    }
}

/// What was sent again for each gap, now that it is done; `number` is that of the session.
pub(super) fn with_runs(resends: Vec<(Gap, Resent)>, number: Option<i64>, reach: &Reach) -> Vec<(Gap, Resent)> {
    let with_run = |(gap, resent): (Gap, Resent)| {
        // Nothing was sent into a partition of which nothing was unsettled.
        let end = reach.ends.get(&gap.partition).copied().unwrap_or_default();
        let end_offset = end.max(resent.from_offset);
        // An outbox of an older version numbers nothing.
        let run = number.map(|number| SentRun { number, last_position: reach.last_position, end_offset });
        (gap, Resent { run, ..resent })
    };
    resends.into_iter().map(with_run).collect()
}
