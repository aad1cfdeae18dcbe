//! The rule of a session: what is read, handed to Kafka, marked, and when all of it begins again. Pure: no I/O, no
//! clock; the driver reports what happened and does what it is told.
//!
//! Rationale. A session hands over a run of rows in position order, without leaving out a row that it read, and begins
//! at the lowest row that may be missing in Kafka. Kafka's idempotent producer appends a prefix of that run to each
//! partition and never a row without those before it (`enable.gapless.guarantee`). So whatever sessions do one after
//! the other, or two relays at the same time, the first appearances of a conversation's rows are in position order.
//! Everything else (lost reports, lost marks, crashes) only makes duplicates.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wiber_model::MessageId;
use wiber_model::outbox::{PublishedRow, Which};

use crate::mutant::Mutant;

/// Most rows in Kafka's hands or acknowledged and not yet marked.
pub(super) const WINDOW_ROWS: usize = 10_000;

/// How long reports are waited for when another relay may be at work already.
const LEASE_LOST_PATIENCE: Duration = Duration::from_secs(5);

/// A row on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsent<R> {
    pub(super) position: i64,
    pub(super) message_id: MessageId,
    pub(super) payload: R,
}

/// Where and when Kafka acknowledged a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) published_at_ms: i64,
}

/// Why a session ends. A later variant overrides an earlier one: it asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Rows must be sent again from the first unsettled one.
    Resend,
    /// The process ends.
    Shutdown,
    /// Another relay may be reading.
    LeaseLost,
    /// The outbox file is another one, or broke its protocol.
    Replaced,
    /// Kafka did not take a row.
    Failed,
}

impl End {
    /// How long what is in flight may take; `flush` when the process ends. A resend has no limit: where it begins must lie
    /// above all that came before.
    pub(super) fn patience(self, flush: Duration) -> Option<Duration> {
        match self {
            Self::Resend => None,
            Self::Shutdown => Some(flush),
            Self::LeaseLost | Self::Replaced => Some(LEASE_LOST_PATIENCE),
            Self::Failed => Some(Duration::ZERO),
        }
    }
}

/// What to read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) which: Which,
    pub(super) after: i64,
    pub(super) limit: u32,
    /// Whether to wait for rows; a session that re-sends is done when there are none.
    pub(super) may_wait: bool,
}

/// An outbox answered rows that are not above the position asked for, or not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the outbox answered position {position} after {cursor}")]
pub(super) struct OutOfOrder {
    position: i64,
    cursor: i64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session<R> {
    which: Which,
    /// The highest position that was read.
    cursor: i64,
    unsent: VecDeque<Unsent<R>>,
    /// Handed over, no report yet.
    outstanding: BTreeMap<i64, MessageId>,
    /// Acknowledged, not known to be marked.
    unmarked: BTreeMap<i64, PublishedRow>,
    /// What a session that sends again must reach: the outbox's highest position at its first read.
    target: Option<i64>,
    /// Behind the last acknowledged row of each partition.
    ends: BTreeMap<i32, i64>,
    end: Option<End>,
}

/// How far a session came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The highest row that it read.
    pub(super) last_position: i64,
    /// By partition, the offset behind the last row that Kafka acknowledged.
    pub(super) ends: BTreeMap<i32, i64>,
}

impl<R> Session<R> {
    /// A session that begins at the lowest row that `which` selects.
    pub(super) fn new(which: Which) -> Self {
        Self {
            which,
            cursor: 0,
            unsent: VecDeque::new(),
            outstanding: BTreeMap::new(),
            unmarked: BTreeMap::new(),
            target: None,
            ends: BTreeMap::new(),
            end: None,
        }
    }

    /// How far it came.
    pub(super) fn reach(&self) -> Reach {
        Reach { last_position: self.cursor, ends: self.ends.clone() }
    }

    /// What to read next, if anything: only when all that was read is handed over, and within the window.
    pub(super) fn want_read(&self, rows_max: u32) -> Option<Read> {
        let room = WINDOW_ROWS.saturating_sub(self.outstanding.len() + self.unmarked.len());
        let limit = rows_max.min(u32::try_from(room).unwrap_or(rows_max));
        let resends = self.resends();
        let wanted = self.end.is_none() && self.unsent.is_empty() && limit > 0 && !self.has_read_all();
        wanted.then_some(Read { which: self.which, after: self.cursor, limit, may_wait: !resends })
    }

    /// Takes the answer to a read: rows, and the outbox's highest position where it was asked for. Rows that come later
    /// than a re-sending session's first read are for the next session, so that it ends however fast they come.
    ///
    /// # Errors
    /// If the rows are not above the cursor in increasing order, which would break every conversation's order; none of
    /// them is taken then.
    pub(super) fn received(&mut self, rows: Vec<Unsent<R>>, last_position: Option<i64>) -> Result<(), OutOfOrder> {
        let mut cursor = self.cursor;
        for row in &rows {
            if row.position <= cursor {
                return Err(OutOfOrder { position: row.position, cursor });
            }
            cursor = row.position;
        }
        if self.end.is_none() {
            self.cursor = cursor;
            // Nothing above the cursor: the highest rows are settled and gone.
            let reached = rows.is_empty().then_some(cursor);
            self.target = reached.or(self.target).or(last_position);
            if Mutant::UnorderedDrain.is_on() {
                self.unsent.extend(rows.into_iter().rev());
            } else {
                self.unsent.extend(rows);
            }
        }
        Ok(())
    }

    /// The row to hand over next; the same one until [`Self::handed_over`].
    pub(super) fn next_unsent(&self) -> Option<&Unsent<R>> {
        self.unsent.front()
    }

    /// Kafka's client has taken the next row.
    pub(super) fn handed_over(&mut self) {
        if let Some(row) = self.unsent.pop_front() {
            self.outstanding.insert(row.position, row.message_id);
        }
    }

    /// Kafka acknowledged a row; returns its message's id, `None` if no such row was outstanding.
    pub(super) fn acknowledged(&mut self, position: i64, place: Place) -> Option<&MessageId> {
        let message_id = self.outstanding.remove(&position)?;
        let Place { partition, offset, published_at_ms } = place;
        let end = self.ends.entry(partition).or_default();
        *end = (*end).max(offset + 1);
        let row = PublishedRow { position, message_id, partition, offset, published_at: published_at_ms };
        self.unmarked.insert(position, row);
        self.unmarked.get(&position).map(|row| &row.message_id)
    }

    /// Kafka did not take a row, or nobody knows whether it did.
    pub(super) fn failed(&mut self, position: i64) {
        self.outstanding.remove(&position);
        self.end(End::Failed);
    }

    /// Acknowledged rows to mark, lowest first.
    pub(super) fn to_mark(&self, rows_max: usize) -> Vec<PublishedRow> {
        self.unmarked.values().take(rows_max).cloned().collect()
    }

    /// The outbox has answered a mark; a lost answer only means to mark again.
    pub(super) fn marked(&mut self, rows: &[PublishedRow]) {
        for row in rows {
            self.unmarked.remove(&row.position);
        }
    }

    /// Ends the session: nothing more is read or handed over, reports and marks still count.
    pub(super) fn end(&mut self, end: End) {
        self.unsent.clear();
        self.end = self.end.max(Some(end));
    }

    /// Why the session ends, if it does.
    pub(super) fn ending(&self) -> Option<End> {
        self.end
    }

    /// Whether the session sends all unsettled rows again.
    pub(super) fn resends(&self) -> bool {
        self.which == Which::Unsettled
    }

    fn has_read_all(&self) -> bool {
        self.resends() && self.target.is_some_and(|target| self.cursor >= target)
    }

    /// How many reports are missing.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many acknowledged rows are not known to be marked.
    pub(super) fn unmarked(&self) -> usize {
        self.unmarked.len()
    }

    /// Whether every row that a re-sending session had to send is acknowledged and marked.
    pub(super) fn is_complete(&self) -> bool {
        let idle = self.unsent.is_empty() && self.outstanding.is_empty() && self.unmarked.is_empty();
        self.has_read_all() && idle && self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64) -> Unsent<()> {
        Unsent { position, message_id: MessageId::new(position, [0; 10]), payload: () }
    }

    fn place(offset: i64) -> Place {
        Place { partition: 0, offset, published_at_ms: 1 }
    }

    fn with(positions: &[i64]) -> Session<()> {
        let mut session = Session::new(Which::Unpublished);
        session.received(positions.iter().copied().map(row).collect(), None).unwrap();
        session
    }

    #[test]
    fn its_reach_is_the_last_row_and_the_end_of_each_partition() {
        let mut session = with(&[3, 5, 8]);
        for _ in 0..3 {
            session.handed_over();
        }
        session.acknowledged(3, place(10));
        session.acknowledged(8, place(12));
        session.acknowledged(5, Place { partition: 2, ..place(7) });
        assert_eq!(session.reach(), Reach { last_position: 8, ends: BTreeMap::from([(0, 13), (2, 8)]) });
    }

    #[test]
    fn rows_are_read_handed_over_acknowledged_and_marked_in_turn() {
        let mut session = with(&[3, 5]);
        assert_eq!(session.want_read(10), None, "what was read is not handed over yet");
        while session.next_unsent().is_some() {
            session.handed_over();
        }
        assert_eq!(session.want_read(10).unwrap().after, 5);
        session.acknowledged(5, place(1));
        session.acknowledged(3, place(0));
        let marks = session.to_mark(10);
        assert_eq!(marks.iter().map(|m| m.position).collect::<Vec<_>>(), [3, 5]);
        session.marked(&marks[..1]);
        assert_eq!((session.outstanding(), session.unmarked()), (0, 1));
    }

    #[test]
    fn a_full_client_queue_keeps_the_same_row_next() {
        let session = with(&[3, 5]);
        assert_eq!(session.next_unsent().unwrap().position, 3);
        assert_eq!(session.next_unsent().unwrap().position, 3);
    }

    #[test]
    fn a_failure_ends_the_session_and_overrides_a_milder_end() {
        let mut session = with(&[3, 5, 6]);
        session.handed_over();
        session.handed_over();
        session.end(End::Shutdown);
        session.failed(3);
        session.end(End::Resend);
        assert_eq!(session.ending(), Some(End::Failed));
        assert!(session.next_unsent().is_none() && session.want_read(10).is_none());
        session.acknowledged(5, place(0));
        assert_eq!(session.to_mark(10).len(), 1, "a row that Kafka has may be marked whatever happened to others");
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let mut session = with(&[3]);
        assert!(session.received(vec![row(3)], None).is_err());
        assert!(session.received(vec![row(5), row(4)], None).is_err());
        assert!(session.received(vec![row(4), row(5)], None).is_ok());
    }

    #[test]
    fn the_window_is_never_passed() {
        let mut session = Session::new(Which::Unpublished);
        session.received((1..WINDOW_ROWS as i64).map(row).collect(), None).unwrap();
        while session.next_unsent().is_some() {
            session.handed_over();
        }
        assert_eq!(session.want_read(1_000).unwrap().limit, 1);
        session.received(vec![row(WINDOW_ROWS as i64)], None).unwrap();
        session.handed_over();
        assert_eq!(session.want_read(1_000), None);
        session.acknowledged(1, place(0));
        assert_eq!(session.want_read(1_000), None, "an acknowledged row counts until it is marked");
        session.marked(&session.to_mark(1));
        assert_eq!(session.want_read(1_000).unwrap().limit, 1);
    }

    #[test]
    fn a_resending_session_is_complete_when_an_empty_read_found_all_marked() {
        let mut session = Session::new(Which::Unsettled);
        session.received(vec![row(1)], Some(2)).unwrap();
        session.handed_over();
        assert!(!session.want_read(10).unwrap().may_wait);
        session.received(Vec::new(), Some(2)).unwrap();
        assert!(session.want_read(10).is_none() && !session.is_complete());
        session.acknowledged(1, place(0));
        assert!(!session.is_complete());
        session.marked(&session.to_mark(10));
        assert!(session.is_complete());
    }

    #[test]
    fn a_resending_session_ends_however_fast_rows_come() {
        let mut session = Session::new(Which::Unsettled);
        session.received(vec![row(1), row(2)], Some(3)).unwrap();
        session.handed_over();
        session.handed_over();
        session.received(vec![row(3), row(4)], Some(9)).unwrap();
        session.handed_over();
        session.handed_over();
        assert_eq!(session.want_read(10), None, "all that was there at its begin is read");
        for position in 1..=4 {
            assert!(!session.is_complete());
            session.acknowledged(position, place(position));
        }
        session.marked(&session.to_mark(10));
        assert!(session.is_complete());
    }
}
