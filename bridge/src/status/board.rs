//! The board that roles write and readiness reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wiber_model::query::{BridgeStatus, Dependency, Report};

/// State and notes; cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Board {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kafka: AtomicBool,
    kafka_takes_records: AtomicBool,
    mongodb: AtomicBool,
    notes: Mutex<BTreeMap<String, String>>,
    refusals: Mutex<BTreeMap<String, String>>,
}

impl Board {
    /// A board on which nothing has answered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves a note under a key, in place of the one that was there. Logs it when it is new.
    pub fn set_note(&self, key: impl Into<String>, text: impl Into<String>) {
        let (key, text) = (key.into(), text.into());
        let before = self.notes_by_key().insert(key.clone(), text.clone());
        if before.as_ref() != Some(&text) {
            tracing::warn!(note = key, "{text}");
        }
    }

    /// Takes a note away.
    pub fn clear_note(&self, key: &str) {
        let before = self.notes_by_key().remove(key);
        if let Some(text) = before {
            tracing::info!(note = key, "no longer: {text}");
        }
    }

    /// The notes, in the order of their keys.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes_by_key().values().cloned().collect()
    }

    /// Notes that an outbox could not keep the last write that this process asked for, and why.
    pub fn set_refusal(&self, outbox_id: impl Into<String>, reason: impl Into<String>) {
        self.refusals_by_outbox().insert(outbox_id.into(), reason.into());
    }

    /// It keeps writes again.
    pub fn clear_refusal(&self, outbox_id: &str) {
        self.refusals_by_outbox().remove(outbox_id);
    }

    /// What the functions are told.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { status: self.status(), refusals: self.refusals_by_outbox().clone() }
    }

    /// Whether Kafka answered lately.
    #[must_use]
    pub fn kafka(&self) -> Dependency {
        dependency(&self.inner.kafka)
    }

    /// Whether, when it was looked at lately, every partition had a leader and enough copies.
    #[must_use]
    pub fn kafka_takes_records(&self) -> bool {
        self.inner.kafka_takes_records.load(Ordering::Relaxed)
    }

    /// Whether MongoDB answered lately.
    #[must_use]
    pub fn mongodb(&self) -> Dependency {
        dependency(&self.inner.mongodb)
    }

    /// Notes whether Kafka answered.
    pub fn set_kafka(&self, up: bool) {
        note_change("kafka", self.inner.kafka.swap(up, Ordering::Relaxed), up);
    }

    /// Notes whether every partition has a leader and enough copies.
    pub fn set_kafka_takes_records(&self, takes: bool) {
        self.inner.kafka_takes_records.store(takes, Ordering::Relaxed);
    }

    /// Notes whether MongoDB answered.
    pub fn set_mongodb(&self, up: bool) {
        note_change("mongodb", self.inner.mongodb.swap(up, Ordering::Relaxed), up);
    }

    /// Everything, as the query API answers it.
    #[must_use]
    pub fn status(&self) -> BridgeStatus {
        BridgeStatus { kafka: self.kafka(), mongodb: self.mongodb(), notes: self.notes() }
    }

    fn refusals_by_outbox(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes_by_key(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Every change is one call on the map, so it is whole even if its holder panicked.
        self.inner.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dependency(up: &AtomicBool) -> Dependency {
    if up.load(Ordering::Relaxed) { Dependency::Connected } else { Dependency::Disconnected }
}

fn note_change(name: &'static str, before: bool, now: bool) {
    match (before, now) {
        (false, true) => tracing::info!(dependency = name, "connected"),
        (true, false) => tracing::warn!(dependency = name, "disconnected"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_replaced_and_cleared_by_key() {
        let board = Board::new();
        board.set_note("b", "second");
        board.set_note("a", "first");
        board.set_note("b", "changed");
        assert_eq!(board.notes(), ["first", "changed"]);
        board.clear_note("a");
        board.clear_note("a");
        assert_eq!(board.notes(), ["changed"]);
    }

    #[test]
    fn nothing_is_connected_before_it_answered() {
        let board = Board::new();
        assert_eq!((board.kafka(), board.mongodb()), (Dependency::Disconnected, Dependency::Disconnected));
        board.set_kafka(true);
        assert_eq!(board.status().kafka, Dependency::Connected);
    }
}
