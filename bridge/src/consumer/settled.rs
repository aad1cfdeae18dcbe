//! Which rows the stored messages of a batch name, so that their outboxes may free them. Pure.

use std::collections::HashMap;

use wiber_model::MessageId;

use super::record::Record;
use super::sequence::{Batch, Fate};
use crate::store::{Known, Origin};

/// The rows that are named by the documents which a batch met or wrote.
pub(super) struct Settled<'a> {
    met: &'a Known,
    /// Written by this batch: each document names the row of its record.
    written: HashMap<&'a MessageId, Option<Origin>>,
}

impl<'a> Settled<'a> {
    pub(super) fn new(records: &[&'a Record], batch: &Batch, met: &'a Known) -> Self {
        let mut written = HashMap::new();
        // Only repeats are asked for.
        if batch.fates().any(|fate| fate == Fate::Repeat) {
            let stored = records.iter().zip(batch.fates()).filter(|(_, fate)| *fate == Fate::Stored);
            written.extend(stored.filter_map(|(r, _)| Some((&r.message()?.message_id, r.trace.origin()))));
        }
        Self { met, written }
    }

    /// Whether the document under the record's id names the record's row, or there is no row.
    pub(super) fn covers(&self, record: &Record) -> bool {
        let Some(id) = record.message().map(|m| &m.message_id) else { return true };
        match (self.written.get(id), self.met.get(id)) {
            (Some(origin), _) => record.is_of(origin.as_slice()),
            (None, Some(known)) => record.is_of(&known.origins),
            // Nothing is known of the document.
            (None, None) => record.is_of(&[]),
        }
    }
}
