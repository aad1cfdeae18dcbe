//! One owned partition: idle, reading, or refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::committing::Committing;
use super::gap::{Trouble, View};
use super::partition::Progress;
use crate::kafka::Watermarks;

/// How long records may wait in the log, with nothing moving, before the partition counts as stalled: longer than a fetch
/// may take (`socket.timeout.ms`), since nothing moves before it is complete.
pub(super) const STALL: Duration = Duration::from_secs(45);

/// How long they may wait before a person is told.
const NOTED: Duration = Duration::from_secs(10);

/// A partition that the group has given to this consumer.
#[derive(Debug)]
pub(super) struct Slot {
    /// Tells this state from earlier ones of the same partition, so that late news of those is ignored.
    pub(super) generation: u64,
    pub(super) state: State,
}

/// What is done with an owned partition.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing is read: it is not yet known where to begin, or a gap is open.
    Idle { reached: Option<i64>, trouble: Option<Trouble> },
    /// A task reads.
    Reading(Reading),
    /// A record of an unknown version is next: nothing is read until a newer program takes over.
    Refused,
}

/// A partition that a task reads.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
    pub(super) task: tokio::task::AbortHandle,
    pub(super) committing: Committing,
    /// Where the position stood still before waiting records, and since when.
    pub(super) behind: Option<(i64, Instant)>,
}

impl Slot {
    pub(super) fn idle(generation: u64) -> Self {
        Self { generation, state: State::Idle { reached: None, trouble: None } }
    }

    pub(super) fn reading(&self) -> Option<&Reading> {
        match &self.state {
            State::Reading(reading) => Some(reading),
            State::Idle { .. } | State::Refused => None,
        }
    }

    pub(super) fn reading_mut(&mut self) -> Option<&mut Reading> {
        match &mut self.state {
            State::Reading(reading) => Some(reading),
            State::Idle { .. } | State::Refused => None,
        }
    }

    /// The partition as a survey sees it; `None` if there is nothing to decide.
    pub(super) fn view(&self, now: Instant) -> Option<View> {
        match &self.state {
            State::Idle { reached, trouble } => Some(View::Idle { reached: *reached, trouble: *trouble }),
            State::Reading(reading) => Some(reading.view(now)),
            State::Refused => None,
        }
    }
}

impl Reading {
    fn view(&self, now: Instant) -> View {
        let (position, committable) = (self.progress.position(), self.progress.committable());
        View::Reading { position, committable, stalled: self.has_waited(STALL, now) }
    }

    /// Whether records wait for so long that a person should know.
    pub(super) fn waits(&self, now: Instant) -> bool {
        self.has_waited(NOTED, now)
    }

    fn has_waited(&self, limit: Duration, now: Instant) -> bool {
        let position = self.progress.position();
        let waited = |(at, since): (i64, Instant)| {
            at == position && !self.progress.is_busy() && now.duration_since(since) >= limit
        };
        self.behind.is_some_and(waited)
    }

    /// Notes what the log looked like, to notice later that nothing has moved.
    pub(super) fn compare(&mut self, log: Watermarks, now: Instant) {
        let position = self.progress.position();
        let waiting = !self.progress.is_busy() && log.high > position;
        self.behind = match self.behind {
            Some((at, since)) if waiting && at == position => Some((at, since)),
            _ => waiting.then_some((position, now)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(runtime: &tokio::runtime::Runtime, position: i64) -> Reading {
        Reading {
            progress: Arc::new(Progress::new(position)),
            stop: CancellationToken::new(),
            task: runtime.spawn(async {}).abort_handle(),
            committing: Committing::new(position),
            behind: None,
        }
    }

    fn is_stalled(reading: &Reading, now: Instant) -> bool {
        matches!(reading.view(now), View::Reading { stalled: true, .. })
    }

    #[test]
    fn only_waiting_records_and_time_make_a_stall() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut reading = reading(&runtime, 5);
        let start = Instant::now();
        reading.compare(Watermarks { low: 0, high: 5 }, start);
        assert!(!is_stalled(&reading, start + STALL));
        reading.compare(Watermarks { low: 0, high: 9 }, start);
        assert!(!is_stalled(&reading, start + STALL / 2));
        reading.compare(Watermarks { low: 0, high: 12 }, start + STALL / 2);
        assert!(is_stalled(&reading, start + STALL));
        assert!(reading.waits(start + NOTED) && !reading.waits(start + NOTED / 2));
        // An unanswered question says nothing about the log, so the wait begins anew.
        reading.behind = None;
        assert!(!is_stalled(&reading, start + STALL));
    }
}
