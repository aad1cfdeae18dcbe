//! How far each conversation has come, remembered for as long as a partition is owned. Pure.

use std::collections::HashMap;

/// Conversations remembered for one partition, some megabytes.
pub(super) const CONVERSATIONS_MAX: usize = 50_000;

/// The highest majority-acknowledged `seq` by conversation. A value that no majority has confirmed must not enter: a
/// place built on it could leave a hole after a fail-over.
#[derive(Debug)]
pub(super) struct Heads {
    places: HashMap<String, i64>,
    max: usize,
}

impl Heads {
    /// Remembers up to `max` conversations, which must be more than one batch holds.
    pub(super) fn new(max: usize) -> Self {
        Self { places: HashMap::new(), max }
    }

    pub(super) fn get(&self, conversation: &str) -> Option<i64> {
        self.places.get(conversation).copied()
    }

    /// Notes what a majority has confirmed.
    pub(super) fn set(&mut self, conversation: &str, seq: i64) {
        if let Some(place) = self.places.get_mut(conversation) {
            *place = seq;
            return;
        }
        // Forgetting everything is the simplest bound: what is needed again is read again.
        if self.places.len() >= self.max {
            self.places.clear();
        }
        self.places.insert(conversation.to_owned(), seq);
    }

    pub(super) fn forget(&mut self, conversation: &str) {
        self.places.remove(conversation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let mut heads = Heads::new(2);
        heads.set("a", 1);
        heads.set("b", 1);
        heads.set("a", 2);
        assert_eq!((heads.get("a"), heads.get("b")), (Some(2), Some(1)));
        heads.set("c", 1);
        assert_eq!((heads.get("a"), heads.get("b"), heads.get("c")), (None, None, Some(1)));
        heads.forget("c");
        assert_eq!(heads.get("c"), None);
    }
}
