//! What becomes of the records of a batch, before the store is asked and after it has spoken. Pure.

use wiber_model::record::{Decoded, Poison};

use super::dead_letter::Verdict;
use super::gap::{Appended, Repeats};
use super::record::Record;
use super::sequence::{Batch, Fate};
use super::settled::Settled;
use crate::mutant::Mutant;
use crate::store::Known;

/// Records as they arrive, by what is to be done about them.
#[derive(Debug, Default)]
pub(super) struct Arrived<'a> {
    /// Nothing: their outbox repeats them later, in order with what was lost.
    pub(super) repeated_later: Vec<&'a Record>,
    /// They can never be stored.
    pub(super) poisoned: Vec<(&'a Record, Verdict)>,
    /// They are messages.
    pub(super) messages: Vec<&'a Record>,
    /// One has a version that this program does not know: nothing from it on may be confirmed.
    pub(super) has_unknown_version: bool,
}

/// Sorts records that have arrived.
pub(super) fn arrived<'a>(records: &'a [Record], repeats: &Repeats) -> Arrived<'a> {
    let mut sorted = Arrived::default();
    for record in records {
        match &record.decoded {
            // A dead letter that was replayed has no row any more, so nobody repeats it.
            _ if !record.is_replay() && repeats.covers(&Appended::of(record)) => sorted.repeated_later.push(record),
            Decoded::Message(_) => sorted.messages.push(record),
            Decoded::Poison(reason, detail) => {
                sorted.poisoned.push((record, Verdict { reason: *reason, detail: detail.clone() }));
            }
            Decoded::UnknownVersion(_) => {
                sorted.has_unknown_version = true;
                break;
            }
        }
    }
    if Mutant::OrderByClock.is_on() {
        sorted.messages.sort_by_key(|record| record.message().map(|m| (m.timestamp, m.message_id.clone())));
    }
    sorted
}

/// Messages whose fates a batch has found, by what is left to do. Those that are in none of these have no fate yet.
#[derive(Debug, Default)]
pub(super) struct Fated<'a> {
    /// Nothing: their offsets may be confirmed.
    pub(super) confirmed: Vec<&'a Record>,
    /// Stored from another record: their rows must be noted there before they are confirmed.
    pub(super) unnoted: Vec<&'a Record>,
    /// To be dead-lettered.
    pub(super) conflicts: Vec<(&'a Record, Verdict)>,
    /// How many were stored before.
    pub(super) repeats: usize,
}

/// Sorts the messages of a batch, in its order; `met` is what was found stored.
pub(super) fn fated<'a>(records: &[&'a Record], batch: &Batch, met: &Known) -> Fated<'a> {
    let settled = Settled::new(records, batch, met);
    let mut sorted = Fated::default();
    for (record, fate) in records.iter().zip(batch.fates()) {
        match fate {
            Fate::Open => {}
            Fate::Stored => sorted.confirmed.push(record),
            Fate::Repeat => {
                sorted.repeats += 1;
                let list = if settled.covers(record) { &mut sorted.confirmed } else { &mut sorted.unnoted };
                list.push(record);
            }
            Fate::Conflict => sorted.conflicts.push((record, conflict())),
        }
    }
    sorted
}

fn conflict() -> Verdict {
    Verdict { reason: Poison::Conflict, detail: "another message with this id is stored".to_owned() }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
    use wiber_model::record::{header, source};

    use super::*;
    use crate::store::{Gap, Resent, Trace};

    fn record(offset: i64, replays: Option<&str>) -> Record {
        let headers =
            replays.map(|value| OwnedHeaders::new().insert(Header { key: header::REPLAYS, value: Some(value) }));
        let topic = "t".to_owned();
        let original = OwnedMessage::new(None, None, topic, Timestamp::NotAvailable, 0, offset, headers);
        let trace = Trace { source: Some(source("x")), sequence: Some(1), ..Trace::default() };
        let decoded = Decoded::Poison(Poison::NotJson, String::new());
        Record { offset, published_at: 0, decoded, trace, run: None, bytes: 0, original }
    }

    #[test]
    fn what_an_outbox_repeats_is_passed_over_but_no_replay() {
        let resent = vec![Resent { url: "u".into(), outbox_id: "x".into(), from_offset: 5, run: None }];
        let gap = Gap::passed(0, resent);
        let records = [record(3, None), record(4, Some("1")), record(5, None)];
        let arrived = arrived(&records, &Repeats::of(&gap));
        let passed: Vec<i64> = arrived.repeated_later.iter().map(|record| record.offset).collect();
        let read: Vec<i64> = arrived.poisoned.iter().map(|(record, _)| record.offset).collect();
        assert_eq!((passed, read), (vec![3], vec![4, 5]));
    }
}
