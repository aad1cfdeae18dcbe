//! What the next session of an outbox has to do, from how the last ones ended and which gaps are open. Pure.

use wiber_model::outbox::Which;

use super::gaps::waiting_for;
use super::session::End;
use crate::store::Gap;

/// What must be sent again, and for which gaps that was done.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Rows were forgotten, or are in a topic that is no more.
    requested: bool,
    /// Gaps served by this process: partition and epoch.
    done: Vec<(i32, i64)>,
    /// Kafka's id of the topic that the last session sent to.
    topic_id: Option<String>,
}

/// What to do once a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Record for the gaps it served that all was sent again; then the next session.
    Record,
    /// The next session, at once.
    Next,
    /// The next session, after a wait that grows.
    Pause,
    /// The same, and the topics are verified first: one that was deleted makes rows fail too.
    Verify,
}

impl Course {
    /// The gaps for which the outbox at `url` must still send again.
    pub(super) fn waiting(&self, url: &str, open: &[Gap]) -> Vec<Gap> {
        waiting_for(url, open, &self.done)
    }

    /// The next session sends to the topic with this id. One that was made anew has none of the
    /// rows that the sessions before sent: they come first, before any other does. Consumers find this out as well, but
    /// only if they had recorded the old topic.
    ///
    /// `true` if it is another topic than before, or the first: it is worth recording.
    pub(super) fn begins_in(&mut self, topic_id: &str) -> bool {
        let is_other = self.topic_id.as_deref() != Some(topic_id);
        if is_other {
            self.requested |= self.topic_id.is_some();
            self.topic_id = Some(topic_id.to_owned());
        }
        is_other
    }

    /// Which rows the next session sends; `for_gaps` if a gap waits.
    pub(super) fn which(&self, for_gaps: bool) -> Which {
        if for_gaps || self.requested { Which::Unsettled } else { Which::Unpublished }
    }

    /// A session has ended: `None` when everything that had to be sent again was.
    pub(super) fn ended(&mut self, end: Option<End>, rows_were_forgotten: bool) -> After {
        match end {
            None => {
                self.requested = false;
                After::Record
            }
            Some(End::Resend) => {
                self.requested |= rows_were_forgotten;
                After::Next
            }
            Some(End::Shutdown) => After::Next,
            Some(End::LeaseLost | End::Replaced) => After::Pause,
            Some(End::Failed) => After::Verify,
        }
    }

    /// All was sent again for this gap.
    pub(super) fn served(&mut self, gap: &Gap) {
        self.done.push((gap.partition, gap.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_send_again_outlives_the_sessions_that_could_not() {
        let mut course = Course::default();
        assert_eq!(course.which(false), Which::Unpublished);
        assert_eq!(course.which(true), Which::Unsettled);
        assert_eq!(course.ended(Some(End::Resend), true), After::Next);
        assert_eq!(course.ended(Some(End::Resend), false), After::Next);
        assert_eq!(course.ended(Some(End::Failed), false), After::Verify);
        assert_eq!(course.which(false), Which::Unsettled);
        assert_eq!(course.ended(None, false), After::Record);
        assert_eq!(course.which(false), Which::Unpublished);
    }

    #[test]
    fn a_topic_made_anew_gets_all_that_is_unsettled() {
        let mut course = Course::default();
        assert!(course.begins_in("a"));
        assert!(!course.begins_in("a"));
        assert_eq!(course.which(false), Which::Unpublished);
        assert!(course.begins_in("b"));
        course.ended(Some(End::Failed), false);
        assert!(!course.begins_in("b"));
        assert_eq!(course.which(false), Which::Unsettled);
    }
}
