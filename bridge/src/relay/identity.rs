//! Notices that an outbox file was replaced: its id is not the one that was seen last.

use crate::status::Board;
use crate::store::Store;
use crate::telemetry::Metrics;

/// The ids of one outbox address.
#[derive(Debug)]
pub(super) struct Identity {
    url: String,
    store: Store,
    board: Board,
    metrics: Metrics,
    /// The id seen last by this process.
    seen: Option<String>,
    /// Whether MongoDB has it too.
    recorded: bool,
    /// The id whose appearance was reported last.
    reported: Option<String>,
}

impl Identity {
    pub(super) fn new(url: &str, store: Store, board: Board, metrics: Metrics) -> Self {
        Self { url: url.to_owned(), store, board, metrics, seen: None, recorded: false, reported: None }
    }

    /// Compares an outbox's id with the one seen last, here or by an earlier process, and reports a difference.
    ///
    /// # Errors
    /// If MongoDB does not answer; the caller repeats it.
    pub(super) async fn compare(&mut self, outbox_id: &str) -> Result<(), crate::store::Error> {
        if self.seen.as_deref() != Some(outbox_id) {
            if let Some(before) = self.seen.replace(outbox_id.to_owned()) {
                self.report(&before, outbox_id);
            }
            self.recorded = false;
        }
        if !self.recorded {
            self.record(outbox_id).await?;
            self.recorded = true;
        }
        Ok(())
    }

    async fn record(&mut self, outbox_id: &str) -> Result<(), crate::store::Error> {
        match self.store.outbox_id(&self.url).await? {
            Some(known) if known == outbox_id => return Ok(()),
            Some(known) => self.report(&known, outbox_id),
            None => {}
        }
        self.store.set_outbox_id(&self.url, outbox_id).await
    }

    fn report(&mut self, before: &str, now: &str) {
        if self.reported.as_deref() == Some(now) {
            return;
        }
        self.reported = Some(now.to_owned());
        let key = format!("outbox-replaced-{}-{now}", self.url);
        let text = format!(
            "outbox {} was replaced: it was {before} and is now {now}; what the old file held and MongoDB has not is lost \
             unless the file is put back",
            self.url
        );
        self.board.set_note(key, text);
        self.metrics.outbox_replaced_total.with_label_values(&[&self.url]).inc();
    }
}
