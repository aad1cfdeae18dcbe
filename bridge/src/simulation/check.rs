//! The oracle: what was accepted, and what may never be otherwise.
//!
//! Excused from order, and from nothing else, are the partitions of which Kafka lost an acknowledged end (a single
//! broker's unflushed end: the guarantee asks for three brokers). And all of them where the topic was made anew before
//! MongoDB could record it and the relay that knew it gave way to another: a new one, or a second.

use std::collections::{BTreeMap, BTreeSet};

use wiber_model::record::{Decoded, source};
use wiber_model::{Message, MessageId};

use super::kafka::Record;
use super::outbox::Row;
use super::world::World;
use crate::store::Origin;

/// An accepted message.
#[derive(Debug, Clone)]
struct Accepted {
    outbox: usize,
    position: i64,
    message: Message,
}

/// What the checker remembers.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    accepted: BTreeMap<MessageId, Accepted>,
    /// Ids that a stranger has claimed: the row's own message may be dead-lettered.
    claimed: BTreeSet<MessageId>,
    /// Partitions whose log lost records, so that a gap may have been passed.
    lossy: BTreeSet<usize>,
    cut: BTreeSet<usize>,
    /// The topic was made anew before it was recorded; a relay died, stood still, or is one of two.
    pub(crate) unrecorded: bool,
    pub(crate) relay_failed: bool,
    /// The first invariant that did not hold.
    pub(crate) violation: Option<String>,
}

impl Checker {
    pub(crate) fn accept(&mut self, outbox: usize, position: i64, message: Message) {
        self.accepted.insert(message.message_id.clone(), Accepted { outbox, position, message });
    }

    pub(crate) fn claim(&mut self, id: MessageId) {
        self.claimed.insert(id);
    }

    pub(crate) fn an_accepted(&self, index: usize) -> Option<Message> {
        self.accepted.values().nth(index).map(|a| a.message.clone())
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// The partition lost records, so that a gap may be passed.
    pub(crate) fn lost(&mut self, partition: usize) {
        self.lossy.insert(partition);
    }

    /// The partition lost what it had acknowledged, without a trace.
    pub(crate) fn cut(&mut self, partition: usize) {
        self.lossy.insert(partition);
        self.cut.insert(partition);
    }

    fn violated(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }
}

/// Whether a majority has the message or a dead letter that was made of this row's record.
fn is_safe(world: &World, outbox_id: &str, position: i64, message: &Message) -> bool {
    let data = &world.mongo.majority;
    if data.messages.get(&message.message_id).is_some_and(|document| same(document, message)) {
        return true;
    }
    let row = Origin { source: source(outbox_id), sequence: position };
    data.dead_letters.values().any(|(_, rows)| rows.contains(&row))
}

fn same(document: &crate::store::MessageDocument, message: &Message) -> bool {
    document.clone().into_stored().message.same_as(message)
}

/// Rows were freed: each must be stored or dead-lettered by a majority.
pub(crate) fn freed(world: &mut World, outbox: usize, rows: &[(i64, Row)]) {
    let outbox_id = world.outboxes[outbox].id.clone();
    for (position, row) in rows {
        if !is_safe(world, &outbox_id, *position, &row.message) {
            world.checker.violated(|| format!("row {position} of {outbox_id} was freed, but a majority has it not"));
        }
    }
}

/// An offset was committed: all below it must be stored or dead-lettered, or else still be in its outbox where the log
/// lost records.
pub(crate) fn committed(world: &mut World, partition: i32, offset: i64) {
    let index = usize::try_from(partition).unwrap();
    let records = &world.kafka.partitions[index].records;
    let below = records.len().min(usize::try_from(offset).unwrap());
    let lossy = world.checker.lossy.contains(&index);
    let open = (0..below).find(|at| {
        let record = &records[*at];
        let held = |(outbox_id, position): &(String, i64)| {
            world.outboxes.iter().any(|o| o.id == *outbox_id && o.rows.contains_key(position))
        };
        // A stranger sends nothing again.
        let excused = lossy && record.row.as_ref().is_none_or(held);
        !excused && !is_done(world, partition, *at, record)
    });
    if let Some(at) = open {
        world
            .checker
            .violated(|| format!("offset {offset} of partition {partition} was committed, but {at} is not done"));
    }
}

fn is_done(world: &World, partition: i32, offset: usize, record: &Record) -> bool {
    let data = &world.mongo.majority;
    let by_place = format!("{}/{partition}/{offset}", super::TOPIC);
    let by_id = record.id.as_ref().is_some_and(|id| data.dead_letters.contains_key(id.as_str()));
    match &record.decoded {
        Decoded::Message(message) => {
            data.messages.contains_key(&message.message_id) || data.dead_letters.contains_key(&by_place)
        }
        Decoded::Poison(..) | Decoded::UnknownVersion(_) => by_id || data.dead_letters.contains_key(&by_place),
    }
}

/// What must hold at every moment: places are contiguous.
pub(crate) fn places(world: &mut World) {
    let mut last: Option<(&str, i64)> = None;
    let mut broken = None;
    for (conversation, seq) in world.mongo.majority.places.keys() {
        let expected = last.filter(|(c, _)| c == conversation).map_or(1, |(_, seq)| seq + 1);
        if *seq != expected {
            broken = broken.or(Some(format!("{conversation} has place {seq} where {expected} was expected")));
        }
        last = Some((conversation, *seq));
    }
    if world.mongo.majority.places.len() != world.mongo.majority.messages.len() {
        broken = broken.or(Some("two messages have one place".to_owned()));
    }
    if let Some(broken) = broken {
        world.checker.violated(|| broken);
    }
}

/// Whether every outbox has run empty.
pub(crate) fn is_drained(world: &World) -> bool {
    world.outboxes.iter().all(|outbox| outbox.rows.is_empty())
}

/// What must hold in the end.
pub(crate) fn end(world: &mut World) {
    places(world);
    let mut broken = Vec::new();
    let checker = &world.checker;
    for (id, accepted) in &checker.accepted {
        let outbox_id = &world.outboxes[accepted.outbox].id;
        let stored = world.mongo.majority.messages.get(id).is_some_and(|d| same(d, &accepted.message));
        if !is_safe(world, outbox_id, accepted.position, &accepted.message) {
            broken.push(format!("{id}, row {} of {outbox_id}, is lost", accepted.position));
        } else if !stored && !checker.claimed.contains(id) {
            broken.push(format!("{id}, row {} of {outbox_id}, was dead-lettered without need", accepted.position));
        }
    }
    for id in checker.accepted.keys().filter(|id| !checker.claimed.contains(*id)) {
        let row = &checker.accepted[id];
        let origin = Origin { source: source(&world.outboxes[row.outbox].id), sequence: row.position };
        if world.mongo.majority.dead_letters.values().any(|(_, rows)| rows.contains(&origin)) {
            broken.push(format!("{id} was dead-lettered without need"));
        }
    }
    broken.extend(disordered(world));
    if let Some(first) = broken.into_iter().next() {
        world.checker.violated(|| first);
    }
}

fn disordered(world: &World) -> Option<String> {
    if world.checker.unrecorded && world.checker.relay_failed {
        return None;
    }
    let mut last: BTreeMap<(&str, usize), i64> = BTreeMap::new();
    for ((conversation, seq), id) in &world.mongo.majority.places {
        let Some(accepted) = world.checker.accepted.get(id).filter(|_| !world.checker.claimed.contains(id)) else {
            continue;
        };
        let before = last.insert((conversation.as_str(), accepted.outbox), accepted.position);
        let partition = super::scenario::partition(&accepted.message, world.kafka.partitions.len());
        let excused = world.checker.cut.contains(&partition);
        if before.is_some_and(|before| before > accepted.position) && !excused {
            let (before, position) = (before.unwrap_or_default(), accepted.position);
            return Some(format!("{conversation}: at place {seq} row {position} comes after row {before}"));
        }
    }
    None
}

/// No progress in the time that was given.
pub(crate) fn stuck(world: &mut World) {
    let rows: Vec<String> = world
        .outboxes
        .iter()
        .flat_map(|o| o.rows.iter().map(|(p, row)| format!("{}/{p} published {:?}", o.id, row.published)))
        .take(5)
        .collect();
    let gaps: Vec<_> = world.mongo.majority.gaps.values().collect();
    let text = format!("nothing is wrong any more, and yet rows stay: {}; gaps {gaps:?}", rows.join(", "));
    world.checker.violated(|| text);
}
