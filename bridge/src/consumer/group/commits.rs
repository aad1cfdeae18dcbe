//! Commits: every so often, and in the end for partitions that are given up. An offset is committed only after all before
//! it are stored or dead-lettered, so a commit that comes late or is lost costs repeated reading and nothing else.

use std::time::Duration;

use tokio::time::timeout_at;

use super::super::committer::{Committed, Offsets};
use super::super::slot::Slot;
use super::Group;

/// How long a commit that something waits for may take at most.
const LIMIT_MAX: Duration = Duration::from_secs(2);

impl Group<'_> {
    /// Commits how far each partition has come since the last time.
    pub(super) fn commit(&mut self) {
        // A slow coordinator gets the latest offsets once it has answered, not a queue of outdated ones.
        if self.committing > 0 {
            return;
        }
        let mut offsets = Vec::new();
        for (partition, slot) in &mut self.slots {
            if let Some(reading) = slot.reading_mut() {
                let due = reading.committing.due(reading.progress.committable());
                offsets.extend(due.map(|offset| (*partition, offset)));
            }
        }
        if !offsets.is_empty() {
            self.request(offsets);
        }
    }

    /// Commits the last word on partitions that are about to be given up.
    pub(super) async fn commit_last(&mut self, partitions: &[i32]) {
        let last = |p: &i32| {
            let reading = self.slots.get(p)?.reading()?;
            Some((*p, reading.committing.last(reading.progress.committable())?))
        };
        let offsets: Vec<(i32, i64)> = partitions.iter().filter_map(last).collect();
        if let Err(error) = self.commit_and_wait(&offsets).await {
            tracing::info!(error, "the last offsets are not committed, so their records will be read again");
        }
    }

    /// Commits and waits for the answer, for a while.
    pub(super) async fn commit_and_wait(&mut self, offsets: &[(i32, i64)]) -> Result<(), String> {
        if offsets.is_empty() {
            return Ok(());
        }
        if !self.request(offsets.to_vec()) {
            return Err("the commit could not be sent".to_owned());
        }
        // Leaving the group comes after it, within the same limit.
        let limit = LIMIT_MAX.min(self.parts.close_limit / 2);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let answer = timeout_at(deadline, self.callbacks.commits.recv());
            match self.client.serve_while(answer).await {
                Ok(Some(committed)) => {
                    self.committed(&committed);
                    if committed.offsets == offsets {
                        return committed.result.map_err(|e| e.to_string());
                    }
                }
                Ok(None) | Err(_) => return Err("the commit was not answered in time".to_owned()),
            }
        }
    }

    /// Takes the answer to a commit. A refusal is a state, not an error: ownership may have ended while it was under way,
    /// and what is still owned is sent again.
    pub(super) fn committed(&mut self, committed: &Committed) {
        self.committing = self.committing.saturating_sub(1);
        if let Err(error) = &committed.result {
            tracing::info!(%error, "a commit was refused");
            self.send_again(&committed.offsets);
            return;
        }
        for (partition, offset) in &committed.offsets {
            if let Some(reading) = self.slots.get_mut(partition).and_then(Slot::reading_mut) {
                reading.committing.acknowledged(*offset);
            }
        }
    }

    /// Asks for a commit without waiting for the answer.
    pub(super) fn request(&mut self, offsets: Offsets) -> bool {
        let requested = self.client.commit(offsets);
        self.committing += usize::from(requested);
        requested
    }

    fn send_again(&mut self, offsets: &[(i32, i64)]) {
        for (partition, _) in offsets {
            if let Some(reading) = self.slots.get_mut(partition).and_then(Slot::reading_mut) {
                reading.committing.refused();
            }
        }
    }
}
