//! Which offset of a partition is sent for commit. Pure.

/// How far one partition's commits have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Committing {
    /// The offset that was last sent.
    sent: i64,
    /// The offset that was last acknowledged.
    acknowledged: i64,
}

impl Committing {
    /// Reading begins at `start`, which was committed or is the beginning.
    pub(super) fn new(start: i64) -> Self {
        Self { sent: start, acknowledged: start }
    }

    /// What to send now, of what may be committed; it counts as sent.
    pub(super) fn due(&mut self, committable: i64) -> Option<i64> {
        (committable > self.sent).then(|| {
            self.sent = committable;
            committable
        })
    }

    /// What to send before the partition is given up, whatever is under way.
    pub(super) fn last(&self, committable: i64) -> Option<i64> {
        (committable > self.acknowledged).then_some(committable)
    }

    /// The group's coordinator took an offset.
    pub(super) fn acknowledged(&mut self, offset: i64) {
        self.acknowledged = self.acknowledged.max(offset);
    }

    /// What the coordinator has. Less than it took: an old commit that came late has replaced it, and would stand for as
    /// long as nothing new is read. At worst this is outdated, and the same offset is sent twice.
    pub(super) fn found(&mut self, committed: Option<i64>) {
        let committed = committed.unwrap_or(0);
        if committed < self.acknowledged {
            *self = Self::new(committed);
        }
    }

    /// It refused one: what is still owned is sent again.
    pub(super) fn refused(&mut self) {
        self.sent = self.acknowledged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_sent_once_and_again_only_after_a_refusal() {
        let mut committing = Committing::new(5);
        assert_eq!((committing.due(5), committing.last(5)), (None, None));
        assert_eq!((committing.due(8), committing.due(8), committing.last(8)), (Some(8), None, Some(8)));
        committing.refused();
        assert_eq!(committing.due(9), Some(9));
        committing.acknowledged(9);
        committing.acknowledged(8);
        assert_eq!((committing.due(9), committing.last(9)), (None, None));
    }

    #[test]
    fn an_old_commit_that_came_late_is_made_good() {
        let mut committing = Committing::new(5);
        committing.due(9);
        committing.found(Some(5));
        assert_eq!(committing.due(9), None, "its answer is still to come");
        committing.acknowledged(9);
        committing.found(Some(9));
        assert_eq!(committing.due(9), None);
        committing.found(Some(7));
        assert_eq!(committing.due(9), Some(9));
    }
}
