//! The sequence rule against a model of a replica set: every interleaving of duplicates, partial writes, lost and late
//! answers, unfinished replication, fail-overs, crashes and a second owner ends with no hole and no double.

use std::collections::HashMap;

use proptest::prelude::*;
use wiber_model::{Message, NewMessage};

use super::heads::Heads;
use super::offsets::Offsets;
use super::sequence::{Batch, Place, Step};
use crate::store::{Known, KnownMessage};

/// Smaller than in life, so that batches meet each other often.
const BATCH_MAX: usize = 3;
/// A cache that must forget often.
const HEADS_MAX: usize = BATCH_MAX;

/// A stored message and its place.
type Row = (Message, i64);

/// A replica set as a client sees it: what a majority has, and what only the primary has so far.
#[derive(Default)]
struct Model {
    committed: Vec<Row>,
    tail: Vec<Row>,
    /// Writes that the network still holds back.
    late: Vec<Vec<Row>>,
}

impl Model {
    /// An ordered insert on the primary, stopping at the first broken unique index. `true` if all went in.
    fn apply(&mut self, rows: &[Row]) -> bool {
        for (message, seq) in rows {
            let taken = self.committed.iter().chain(&self.tail).any(|(other, place)| {
                other.message_id == message.message_id
                    || (place == seq && other.conversation() == message.conversation())
            });
            if taken {
                return false;
            }
            self.tail.push((message.clone(), *seq));
        }
        true
    }

    fn replicate(&mut self) {
        self.committed.append(&mut self.tail);
    }

    /// A new primary has only the first `keep` of what no majority had.
    fn fail_over(&mut self, keep: usize) {
        self.tail.truncate(keep);
        self.replicate();
    }

    fn known(&self, ids: &[&wiber_model::MessageId]) -> Known {
        let wanted = self.committed.iter().filter(|(m, _)| ids.contains(&&m.message_id));
        let known = |(message, seq): &Row| KnownMessage { message: message.clone(), seq: *seq, origins: Vec::new() };
        wanted.map(|row| (row.0.message_id.clone(), known(row))).collect()
    }

    fn heads(&self, conversations: &[&str]) -> HashMap<String, i64> {
        let mut heads = HashMap::new();
        for (message, seq) in &self.committed {
            let conversation = message.conversation();
            if conversations.contains(&conversation.as_str()) {
                let head = heads.entry(conversation.as_str().to_owned()).or_insert(*seq);
                *head = (*head).max(*seq);
            }
        }
        heads
    }
}

/// How a write ends.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Acknowledged by a majority, or refused by an index.
    True,
    /// Applied on the primary only, up to so many documents; the client learns nothing.
    Partial(usize),
    /// Still under way when the client gives up.
    Late,
    /// Never sent.
    Dropped,
}

#[derive(Debug, Clone)]
enum Event {
    /// An owner does its next step.
    Step { owner: usize, answer: Answer },
    /// A late write arrives.
    Arrive(prop::sample::Index),
    /// The tail reaches a majority.
    Replicate,
    /// The primary is lost.
    FailOver(prop::sample::Index),
    /// An owner dies; its successor starts at the committed offset.
    Crash { owner: usize },
}

/// One consumer of the partition.
struct Owner {
    offsets: Offsets,
    heads: Heads,
    batch: Option<(usize, Batch)>,
    /// What ids were read back, before the heads are: another owner may act in between.
    half_read: Option<Known>,
    doubtful: bool,
}

impl Owner {
    fn new(start: i64) -> Self {
        Self {
            offsets: Offsets::new(start),
            heads: Heads::new(HEADS_MAX),
            batch: None,
            half_read: None,
            doubtful: start % 2 == 0,
        }
    }

    /// Does one step; returns the offset that may be committed.
    fn step(&mut self, log: &[Message], model: &mut Model, answer: Answer) -> i64 {
        if self.batch.is_none() {
            let start = usize::try_from(self.offsets.position()).unwrap();
            let messages: Vec<Message> = log.iter().skip(start).take(BATCH_MAX).cloned().collect();
            for offset in start..start + messages.len() {
                self.offsets.track(i64::try_from(offset).unwrap()).unwrap();
            }
            self.batch = Some((start, Batch::new(messages, self.doubtful)));
        }
        let Some((start, batch)) = &mut self.batch else { unreachable!() };
        match batch.next(&self.heads) {
            Step::Finished => {
                for index in 0..batch.fates().count() {
                    self.offsets.confirm(i64::try_from(*start + index).unwrap());
                }
                self.batch = None;
            }
            Step::ReadHeads(conversations) => {
                let found = model.heads(&conversations);
                batch.heads_read(&found, &mut self.heads);
            }
            Step::ReadBack { ids, conversations } => match self.half_read.take() {
                None => self.half_read = Some(model.known(&ids)),
                Some(known) => {
                    let found = model.heads(&conversations);
                    batch.read_back(&known, found, &mut self.heads);
                }
            },
            Step::Write(places) => write(batch, &places, &mut self.heads, model, answer),
        }
        self.offsets.committable()
    }
}

fn write(batch: &mut Batch, places: &[Place], heads: &mut Heads, model: &mut Model, answer: Answer) {
    let rows: Vec<Row> = places.iter().map(|p| (batch.message(p.index).clone(), p.seq)).collect();
    match answer {
        Answer::True => {
            if model.apply(&rows) {
                model.replicate();
                batch.written(places, heads);
            } else {
                batch.doubt(heads);
            }
        }
        Answer::Partial(count) => {
            model.apply(&rows[..count.min(rows.len())]);
            batch.doubt(heads);
        }
        Answer::Late => {
            model.late.push(rows);
            batch.doubt(heads);
        }
        Answer::Dropped => {}
    }
}

/// A log of few conversations with repeats; the number is the message.
fn log(picks: &[u8]) -> Vec<Message> {
    picks
        .iter()
        .map(|n| {
            let new = NewMessage { from_user: "a".into(), to_user: format!("u{}", n % 5), content: n.to_string() };
            Message::accept(new, 1_000, [*n; 10])
        })
        .collect()
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::True),
        2 => (0_usize..=BATCH_MAX).prop_map(Answer::Partial),
        2 => Just(Answer::Late),
        1 => Just(Answer::Dropped),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0_usize..2, answer()).prop_map(|(owner, answer)| Event::Step { owner, answer }),
        2 => any::<prop::sample::Index>().prop_map(Event::Arrive),
        2 => Just(Event::Replicate),
        1 => any::<prop::sample::Index>().prop_map(Event::FailOver),
        1 => (0_usize..2).prop_map(|owner| Event::Crash { owner }),
    ]
}

/// Runs the events, then lets everything come to rest, and returns what is stored.
fn run(log: &[Message], events: &[Event]) -> Vec<Row> {
    let mut model = Model::default();
    let mut owners = [Owner::new(0), Owner::new(0)];
    let mut committed = 0;
    for event in events {
        match event {
            Event::Step { owner, answer } => committed = committed.max(owners[*owner].step(log, &mut model, *answer)),
            Event::Arrive(index) if !model.late.is_empty() => {
                let rows = model.late.remove(index.index(model.late.len()));
                model.apply(&rows);
            }
            Event::Arrive(_) => {}
            Event::Replicate => model.replicate(),
            Event::FailOver(index) => {
                let keep = index.index(model.tail.len() + 1);
                model.fail_over(keep);
            }
            Event::Crash { owner } => owners[*owner] = Owner::new(committed),
        }
        // What was committed must be stored already, whatever comes.
        let stored = |m: &Message| model.committed.iter().any(|(s, _)| s.message_id == m.message_id);
        assert!(log.iter().take(usize::try_from(committed).unwrap()).all(stored), "committed before it was stored");
    }
    finish(log, &mut model, &mut owners);
    model.committed
}

fn finish(log: &[Message], model: &mut Model, owners: &mut [Owner; 2]) {
    let end = i64::try_from(log.len()).unwrap();
    for owner in owners {
        for _ in 0..1_000 {
            model.replicate();
            if owner.step(log, model, Answer::True) == end {
                break;
            }
        }
        assert_eq!(owner.offsets.committable(), end, "an owner never comes to rest");
    }
    for rows in std::mem::take(&mut model.late) {
        model.apply(&rows);
    }
    model.replicate();
}

/// Every message once, in the order of its first appearance, contiguous from 1 in each conversation.
fn check(log: &[Message], stored: &[Row]) -> Result<(), TestCaseError> {
    let mut expected: HashMap<String, Vec<&Message>> = HashMap::new();
    for message in log {
        let conversation = expected.entry(message.conversation().as_str().to_owned()).or_default();
        if !conversation.iter().any(|m| m.message_id == message.message_id) {
            conversation.push(message);
        }
    }
    prop_assert_eq!(stored.len(), expected.values().map(Vec::len).sum::<usize>());
    for (conversation, messages) in expected {
        let mut rows: Vec<&Row> =
            stored.iter().filter(|(m, _)| m.conversation().as_str() == conversation.as_str()).collect();
        rows.sort_by_key(|(_, seq)| *seq);
        let places: Vec<i64> = rows.iter().map(|(_, seq)| *seq).collect();
        let contiguous: Vec<i64> = (1..=i64::try_from(messages.len()).unwrap()).collect();
        prop_assert_eq!(places, contiguous);
        for (row, message) in rows.iter().zip(messages) {
            prop_assert_eq!(&row.0, message);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_hole_no_double_no_reordering(
        picks in prop::collection::vec(0_u8..12, 1..14),
        events in prop::collection::vec(event(), 0..80),
    ) {
        let log = log(&picks);
        let stored = run(&log, &events);
        check(&log, &stored)?;
    }
}
