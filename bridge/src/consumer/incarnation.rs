//! Which incarnation of the topic the client reads.
//!
//! librdkafka goes on at its old position when a topic is deleted and made anew, and so would skip what lies below in
//! the new log, silently (its own source says so, at the place that logs the line below). It fetches by topic id, so
//! records of the new log can only come after it has learned the new id; learning it is told by nothing but a debug
//! line, which this module reads. A test makes a topic anew under a running consumer, and so notices if the line changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The debug context of the line.
pub(super) const DEBUG_CONTEXT: &str = "metadata";
const FACILITY: &str = "METADATA";

/// The ids of the topic that a client has met.
#[derive(Debug)]
pub(super) struct Incarnation {
    line_start: String,
    id: Mutex<Option<String>>,
    mixed: AtomicBool,
}

impl Incarnation {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            line_start: format!("Topic {topic} changed id from "),
            id: Mutex::new(None),
            mixed: AtomicBool::new(false),
        }
    }

    /// Reads a line of librdkafka's log.
    pub(super) fn observe(&self, facility: &str, line: &str) {
        if facility != FACILITY {
            return;
        }
        let Some((_, ids)) = line.split_once(&self.line_start) else { return };
        let Some((_, new)) = ids.split_once(" to ") else { return };
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        if id.as_deref().is_some_and(|known| known != new) {
            self.mixed.store(true, Ordering::Release);
        }
        *id = Some(new.to_owned());
    }

    /// Whether records may come from another topic than those before: none may be stored any more.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed.load(Ordering::Acquire)
    }

    /// Whether the client reads the topic with this id, as far as it has said.
    pub(super) fn is(&self, topic_id: &str) -> bool {
        let id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_mixed() && id.as_deref().is_none_or(|known| known == topic_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_id_is_noticed() {
        let incarnation = Incarnation::new("t");
        assert!(incarnation.is("A"));
        incarnation.observe("METADATA", "[thrd:main]: Topic t changed id from AAAAAAAAAAAAAAAAAAAAAA to A");
        incarnation.observe("METADATA", "[thrd:main]: Topic t2 changed id from A to X");
        incarnation.observe("METADATA", "[thrd:main]: Topic t changed id from AAAAAAAAAAAAAAAAAAAAAA to A");
        assert!(incarnation.is("A") && !incarnation.is("B") && !incarnation.is_mixed());
        incarnation.observe("METADATA", "[thrd:main]: Topic t changed id from A to B");
        assert!(incarnation.is_mixed() && !incarnation.is("B"));
    }
}
