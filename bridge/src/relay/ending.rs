//! The end of a session: what is in flight is waited for as long as that makes sense, then given up, which costs
//! duplicates only; what Kafka acknowledged is marked.

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::ROWS_MAX;

use super::run::{LOOK_INTERVAL, Outcome, Run};
use super::session::End;
use crate::report::Chain;

impl Run<'_> {
    /// Ends the session and its producer.
    pub(super) async fn close(mut self, shutdown: &CancellationToken) -> Outcome {
        self.await_reports(shutdown).await;
        if let Some(producer) = self.producer.take() {
            producer.close().await;
        }
        // Every row has its report now: those that were given up have failed.
        while let Ok(report) = self.reports.try_recv() {
            self.take_reports(report);
        }
        let limit = self.drain.limits.mark;
        if tokio::time::timeout(limit, self.mark_the_rest()).await.is_err() {
            tracing::info!(rows = self.session.unmarked(), "rows stay unmarked: the outbox does not answer");
        }
        let outcome = self.into_outcome();
        tracing::info!(end = ?outcome.end, "session ended");
        outcome
    }

    async fn await_reports(&mut self, shutdown: &CancellationToken) {
        let (mut end, mut since) = (self.session.ending(), Instant::now());
        let mut look_due = interval(LOOK_INTERVAL);
        look_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.session.outstanding() > 0 {
            if self.session.ending() != end {
                (end, since) = (self.session.ending(), Instant::now());
            }
            let limit = end.and_then(|end| end.patience(self.drain.limits.flush));
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => self.take_reports(report),
                () = shutdown.cancelled(), if end < Some(End::Shutdown) => self.session.end(End::Shutdown),
                Ok(()) = self.drain.held.changed() => self.look_at_lease(),
                // A producer of no more use would be waited for without a limit.
                _ = look_due.tick() => self.look_at_producer(),
                () = tokio::time::sleep_until(since + limit.unwrap_or_default()), if limit.is_some() => return,
            }
        }
    }

    /// Marks what Kafka acknowledged. What cannot be marked now is sent again, which costs duplicates only.
    async fn mark_the_rest(&mut self) {
        while self.session.unmarked() > 0 {
            let rows = self.session.to_mark(ROWS_MAX as usize);
            match self.drain.source.mark(rows.clone()).await {
                Ok(_) => self.session.marked(&rows),
                Err(error) => {
                    tracing::info!(error = %Chain(&error), rows = self.session.unmarked(), "rows stay unmarked");
                    return;
                }
            }
        }
        self.drain.published.notify_one();
    }
}
