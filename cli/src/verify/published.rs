//! The topic: one entry of fixed size for each message, in a sorted list.

use std::collections::HashMap;

use rdkafka::message::{BorrowedMessage, Message as _};
use wiber_model::MessageId;
use wiber_model::record::{self, Decoded, header};

use super::Context;
use super::content::{Id, digest};
use super::findings::{Findings, Kind};
use super::outboxes::Outboxes;
use crate::topic::{self, Range};
use wiber_model::partition_of;

/// How far the clocks of the accepting nodes and of Kafka's brokers may be apart before a record is looked for by its
/// document only, milliseconds.
const CLOCKS_APART_MS: i64 = 3_600_000;

/// A place in the topic in 8 bytes: partition, offset, and whether one of the known outboxes sent the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn new(partition: i32, offset: i64, from_outbox: bool) -> Self {
        let partition = u64::try_from(partition).unwrap_or(0);
        // Kafka counts to 2^63; a partition that has come to 2^55 does not exist.
        let offset = u64::try_from(offset).unwrap_or(0) & ((1 << 55) - 1);
        Self((partition << 56) | (offset << 1) | u64::from(from_outbox))
    }

    pub(super) fn partition(self) -> i32 {
        i32::try_from(self.0 >> 56).unwrap_or(0)
    }

    pub(super) fn offset(self) -> i64 {
        i64::try_from((self.0 >> 1) & ((1 << 55) - 1)).unwrap_or(0)
    }

    pub(super) fn is_from_outbox(self) -> bool {
        self.0 & 1 == 1
    }

    /// As dead letters and messages for people name it.
    pub(super) fn text(self, topic: &str) -> String {
        format!("{topic}/{}/{}", self.partition(), self.offset())
    }
}

/// A message of the topic, where it first appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) digest: u64,
    pub(super) place: Place,
}

/// A record that holds no message which can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    /// The id that it claims.
    pub(super) id: Option<MessageId>,
    pub(super) place: Place,
    pub(super) appended_ms: i64,
    /// Why it cannot be stored; `None`: its version is unknown here.
    pub(super) reason: Option<record::Poison>,
}

/// What the topic holds of the scope.
pub(super) struct Published {
    entries: Vec<Entry>,
    /// Whether the entry's message was found in MongoDB, with the same content.
    is_stored: Vec<bool>,
    pub(super) odd: Vec<Odd>,
    /// What was sent again in a run, by partition and offset.
    runs: HashMap<(i32, i64), Id>,
    /// Where messages, by id and content, were replayed to from the dead letters: partition and offset.
    replays: HashMap<(Id, u64), Vec<(i32, i64)>>,
    pub(super) records: u64,
    pub(super) repeats: u64,
    /// What was read of each partition.
    pub(super) read: Vec<Range>,
    /// What there was of each partition.
    pub(super) ends: Vec<Range>,
}

impl Published {
    /// Reads the topic as far as the scope needs it. Blocks.
    pub(super) fn read(
        context: &Context<'_>,
        outboxes: &mut Outboxes,
        findings: &mut Findings,
    ) -> Result<Self, topic::Error> {
        let ends = context.topic.ends()?;
        let read = ranges(context, &ends)?;
        let records: u64 = read.iter().map(|range| range.len()).sum();
        let mut new = Self {
            entries: Vec::new(),
            is_stored: Vec::new(),
            odd: Vec::new(),
            runs: HashMap::new(),
            replays: HashMap::new(),
            records: 0,
            repeats: 0,
            read,
            ends,
        };
        if context.scope.is_everything() {
            // Growing by doubling would need half as much again.
            new.entries.reserve_exact(usize::try_from(records).unwrap_or(0));
        }
        let task = context.progress.task(format!("Reading {}", context.topic.name()));
        let read = new.read.clone();
        context.topic.read(&read, Some(&task), |raw| new.take(raw, context, outboxes, findings))?;
        new.entries.sort_unstable();
        let before = new.entries.len();
        new.entries.dedup_by_key(|entry| (entry.id, entry.digest));
        new.repeats = u64::try_from(before - new.entries.len()).unwrap_or(0);
        new.is_stored = vec![false; new.entries.len()];
        task.done(&format!("{} records", new.records));
        Ok(new)
    }

    fn take(
        &mut self,
        raw: &BorrowedMessage<'_>,
        context: &Context<'_>,
        outboxes: &mut Outboxes,
        findings: &mut Findings,
    ) {
        let from_outbox = meet(raw, outboxes);
        let place = Place::new(raw.partition(), raw.offset(), from_outbox);
        match decode(raw) {
            Decoded::Message(message) => {
                if !context.scope.holds(&message) {
                    return;
                }
                self.records += 1;
                if from_outbox && topic::header(raw, header::RUN).is_some() {
                    self.runs.insert((raw.partition(), raw.offset()), Id::of(&message.message_id));
                }
                let entry = Entry { id: Id::of(&message.message_id), digest: digest(&message), place };
                if topic::header(raw, header::REPLAYS).is_some() {
                    let places = self.replays.entry((entry.id, entry.digest)).or_default();
                    places.push((raw.partition(), raw.offset()));
                }
                let (demanded, found) = (partition_of(raw.key().unwrap_or_default()), raw.partition());
                if demanded != found {
                    let at = place.text(context.topic.name());
                    let problem = format!("its record lies at {at}, and its key demands partition {demanded}");
                    findings.add(Kind::Misordered, message.message_id.as_str(), problem);
                }
                self.entries.push(entry);
            }
            Decoded::Poison(reason, _) => self.take_odd(raw, place, Some(reason), context),
            Decoded::UnknownVersion(_) => self.take_odd(raw, place, None, context),
        }
    }

    fn take_odd(
        &mut self,
        raw: &BorrowedMessage<'_>,
        place: Place,
        reason: Option<record::Poison>,
        context: &Context<'_>,
    ) {
        let id = claimed_id(raw);
        let appended_ms = topic::appended_ms(raw);
        let key = context.scope.conversation().map(|conversation| conversation.as_str().as_bytes());
        let in_time = context.scope.holds_time(id.as_ref().map_or(appended_ms, MessageId::millis));
        if in_time && key.is_none_or(|key| raw.key() == Some(key)) {
            self.records += 1;
            self.odd.push(Odd { id, place, appended_ms, reason });
        }
    }

    /// Whether an outbox sent the message there again in a run, before which other records of it may be passed over.
    pub(super) fn is_of_run(&self, place: Place, id: Id) -> bool {
        self.runs.get(&(place.partition(), place.offset())) == Some(&id)
    }

    /// Whether the message with this content was replayed to that place from the dead letters.
    pub(super) fn is_replay(&self, place: Place, id: Id, digest: u64) -> bool {
        self.replays_of(id, digest)
            .any(|replay| (replay.partition(), replay.offset()) == (place.partition(), place.offset()))
    }

    /// Where the message with this content was replayed to.
    pub(super) fn replays_of(&self, id: Id, digest: u64) -> impl Iterator<Item = Place> {
        let places = self.replays.get(&(id, digest)).into_iter().flatten();
        places.map(|(partition, offset)| Place::new(*partition, *offset, false))
    }

    /// Messages, each counted once.
    pub(super) fn messages(&self) -> u64 {
        let mut distinct = 0;
        let mut last = None;
        for entry in &self.entries {
            distinct += u64::from(last.replace(entry.id) != Some(entry.id));
        }
        distinct
    }

    /// Every content that records gave this id, usually one.
    pub(super) fn variants(&self, id: Id) -> std::ops::Range<usize> {
        let from = self.entries.partition_point(|entry| entry.id < id);
        let count = self.entries[from..].iter().take_while(|entry| entry.id == id).count();
        from..from + count
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub(super) fn set_stored(&mut self, index: usize) {
        self.is_stored[index] = true;
    }

    /// Those that were not found in MongoDB.
    pub(super) fn not_stored(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().zip(&self.is_stored).filter(|(_, stored)| !**stored).map(|(entry, _)| entry)
    }
}

/// Notes the outbox row that a record was made of. Returns whether one of the known outboxes sent it.
pub(super) fn meet(raw: &BorrowedMessage<'_>, outboxes: &mut Outboxes) -> bool {
    let sequence = topic::header(raw, header::SEQUENCE).and_then(|text| text.parse().ok());
    outboxes.meet(topic::header(raw, header::SOURCE), sequence)
}

/// What a record is, as the consumer sees it.
pub(super) fn decode(raw: &BorrowedMessage<'_>) -> Decoded {
    record::decode(first_header(raw, header::TYPE), raw.key(), raw.payload())
}

fn first_header<'a>(raw: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a [u8]> {
    use rdkafka::message::Headers as _;
    raw.headers()?.iter().find(|found| found.key == name)?.value
}

/// The id under which the consumer files it.
fn claimed_id(raw: &BorrowedMessage<'_>) -> Option<MessageId> {
    let in_header = first_header(raw, header::ID).and_then(|id| std::str::from_utf8(id).ok());
    in_header.and_then(|id| MessageId::parse(id).ok()).or_else(|| {
        let value: serde_json::Value = serde_json::from_slice(raw.payload()?).ok()?;
        MessageId::parse(value.get("messageId")?.as_str()?).ok()
    })
}

fn ranges(context: &Context<'_>, ends: &[Range]) -> Result<Vec<Range>, topic::Error> {
    let scope = context.scope;
    let own = scope.conversation().map(|conversation| partition_of(conversation.as_str().as_bytes()));
    let mut ranges: Vec<Range> =
        ends.iter().copied().filter(|range| own.is_none_or(|own| own == range.partition)).collect();
    if let Some(from) = scope.start_ms() {
        let starts = context.topic.since(&ranges, from.saturating_sub(CLOCKS_APART_MS))?;
        ranges.iter_mut().zip(starts).for_each(|(range, start)| range.from = start);
    }
    // Up to its end: a message may have waited in its outbox for as long as an outage lasted.
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_32_bytes_and_a_place_survives_packing() {
        assert_eq!(size_of::<Entry>(), 32);
        let place = Place::new(11, 123_456_789_012, true);
        assert_eq!((place.partition(), place.offset(), place.is_from_outbox()), (11, 123_456_789_012, true));
        assert_eq!(place.text("t"), "t/11/123456789012");
        assert!(Place::new(1, 5, true) < Place::new(1, 6, false) && Place::new(1, 9, true) < Place::new(2, 0, false));
    }
}
