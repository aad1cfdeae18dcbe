//! Places in conversations: from heads, known ids and messages to the next write. Pure.
//!
//! [`Batch`] says what to do next; its caller does it and tells the outcome. The rule behind it: a place is the
//! conversation's majority-acknowledged head plus one, messages are written in log order, and a write stops at the first
//! document that fails. So a plan that rests on an outdated view (a second owner, a late write, a lost answer) meets a
//! unique index at its first wrong document, writes nothing beyond it, and is made anew from what a majority has. Holes
//! and doubles cannot come from wrong guesses, because nothing is guessed.

use std::collections::{HashMap, HashSet};

use wiber_model::{Message, MessageId};

use super::heads::Heads;
use crate::store::Known;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not known yet.
    Open,
    /// Stored by this batch.
    Stored,
    /// Stored before, or by another owner, or a repeat within this batch.
    Repeat,
    /// Another message has its id: it can never be stored.
    Conflict,
}

/// A message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The message, by its index in the batch.
    pub(super) index: usize,
    /// Its place in its conversation.
    pub(super) seq: i64,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Read the heads of these conversations from a majority, then [`Batch::heads_read`].
    ReadHeads(Vec<&'a str>),
    /// Read these ids, then the heads of these conversations, from a majority, then [`Batch::read_back`].
    ReadBack { ids: Vec<&'a MessageId>, conversations: Vec<&'a str> },
    /// Write these in this order, then [`Batch::written`] or [`Batch::doubt`].
    Write(Vec<Place>),
    /// Every message has its fate.
    Finished,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    conversation: String,
    fate: Fate,
}

/// Messages of one partition in log order, on their way into the store.
#[derive(Debug)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// Entries by id: more than one where the batch repeats a message.
    by_id: HashMap<MessageId, Vec<usize>>,
    /// What is stored must be read before anything is written.
    doubtful: bool,
    /// What the last reading back found, to tell progress from standing still.
    seen: Option<HashMap<String, i64>>,
}

impl Batch {
    /// A batch. `doubtful` reads back before the first write: worth it where repeats are likely.
    pub(super) fn new(messages: Vec<Message>, doubtful: bool) -> Self {
        let mut by_id: HashMap<MessageId, Vec<usize>> = HashMap::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            by_id.entry(message.message_id.clone()).or_default().push(index);
        }
        let entry = |message: Message| {
            let conversation = message.conversation().as_str().to_owned();
            Entry { message, conversation, fate: Fate::Open }
        };
        let entries: Vec<Entry> = messages.into_iter().map(entry).collect();
        Self { doubtful: doubtful && !entries.is_empty(), entries, by_id, seen: None }
    }

    /// The next thing to do.
    pub(super) fn next(&self, heads: &Heads) -> Step<'_> {
        let conversations = self.open_conversations();
        if conversations.is_empty() {
            return Step::Finished;
        }
        if self.doubtful {
            return Step::ReadBack { ids: self.open_ids(), conversations };
        }
        let missing: Vec<&str> = conversations.into_iter().filter(|c| heads.get(c).is_none()).collect();
        if missing.is_empty() { Step::Write(self.plan(heads)) } else { Step::ReadHeads(missing) }
    }

    /// The heads that were asked for; a conversation that is not among them has no message.
    pub(super) fn heads_read(&self, found: &HashMap<String, i64>, heads: &mut Heads) {
        // Those that were asked for: a full memory forgets the others on the way, and `found` says nothing of them.
        let mut asked = self.open_conversations();
        asked.retain(|conversation| heads.get(conversation).is_none());
        for conversation in asked {
            heads.set(conversation, found.get(conversation).copied().unwrap_or(0));
        }
    }

    /// A majority has acknowledged the whole write.
    pub(super) fn written(&mut self, places: &[Place], heads: &mut Heads) {
        for place in places {
            let entry = &mut self.entries[place.index];
            entry.fate = Fate::Stored;
            heads.set(&entry.conversation, place.seq);
            let message = entry.message.clone();
            self.settle(&message);
        }
    }

    /// What [`Mutant::DeadLetterOnTimeout`](crate::mutant::Mutant) does.
    pub(super) fn give_up(&mut self) {
        for entry in &mut self.entries {
            if entry.fate == Fate::Open {
                entry.fate = Fate::Conflict;
            }
        }
    }

    /// The write's outcome is doubtful: nothing is believed until it was read back.
    pub(super) fn doubt(&mut self, heads: &mut Heads) {
        for conversation in self.open_conversations() {
            heads.forget(conversation);
        }
        self.doubtful = true;
    }

    /// What a majority has. `false` if nothing moved since the last time, so that the caller waits before it goes on.
    pub(super) fn read_back(&mut self, known: &Known, found: HashMap<String, i64>, heads: &mut Heads) -> bool {
        let before = self.open();
        for known in known.values() {
            self.settle(&known.message);
        }
        for conversation in self.open_conversations() {
            heads.set(conversation, found.get(conversation).copied().unwrap_or(0));
        }
        self.doubtful = false;
        let moved = self.open() != before || self.seen.as_ref().is_none_or(|seen| *seen != found);
        self.seen = Some(found);
        moved
    }

    /// What became of each message, in order.
    pub(super) fn fates(&self) -> impl Iterator<Item = Fate> + '_ {
        self.entries.iter().map(|e| e.fate)
    }

    /// The message at an index.
    pub(super) fn message(&self, index: usize) -> &Message {
        &self.entries[index].message
    }

    /// How many messages have no fate yet.
    pub(super) fn open(&self) -> usize {
        self.entries.iter().filter(|e| e.fate == Fate::Open).count()
    }

    /// `stored` is in the store: every open entry with its id is a repeat of it or conflicts with it.
    fn settle(&mut self, stored: &Message) {
        for index in self.by_id.get(&stored.message_id).into_iter().flatten() {
            let entry = &mut self.entries[*index];
            if entry.fate == Fate::Open {
                entry.fate = if entry.message.same_as(stored) { Fate::Repeat } else { Fate::Conflict };
            }
        }
    }

    fn open_conversations(&self) -> Vec<&str> {
        let mut met = HashSet::new();
        self.open_entries().map(|(_, e)| e.conversation.as_str()).filter(|c| met.insert(*c)).collect()
    }

    fn open_ids(&self) -> Vec<&MessageId> {
        let mut met = HashSet::new();
        self.open_entries().map(|(_, e)| &e.message.message_id).filter(|id| met.insert(*id)).collect()
    }

    fn open_entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().enumerate().filter(|(_, e)| e.fate == Fate::Open)
    }

    /// The first of each id, in log order, each one place above its predecessor. Repeats wait for the first's fate.
    fn plan(&self, heads: &Heads) -> Vec<Place> {
        let mut next: HashMap<&str, i64> = HashMap::new();
        let mut met = HashSet::new();
        let mut places = Vec::new();
        for (index, entry) in self.open_entries() {
            if !met.insert(&entry.message.message_id) {
                continue;
            }
            let conversation = entry.conversation.as_str();
            let head = next.entry(conversation).or_insert_with(|| heads.get(conversation).unwrap_or(0));
            *head += 1;
            places.push(Place { index, seq: *head });
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use wiber_model::NewMessage;

    use super::*;
    use crate::store::KnownMessage;

    fn message(id: u8, to: &str, content: &str) -> Message {
        let new = NewMessage { from_user: "alice".into(), to_user: to.into(), content: content.into() };
        Message::accept(new, 1_758_865_780_040, [id; 10])
    }

    fn heads() -> Heads {
        Heads::new(100)
    }

    fn places(step: Step<'_>) -> Vec<(usize, i64)> {
        match step {
            Step::Write(places) => places.into_iter().map(|p| (p.index, p.seq)).collect(),
            other => panic!("expected a write, not {other:?}"),
        }
    }

    fn known(messages: &[(&Message, i64)]) -> Known {
        let known = |message: &Message, seq| KnownMessage { message: message.clone(), seq, origins: Vec::new() };
        messages.iter().map(|(m, seq)| (m.message_id.clone(), known(m, *seq))).collect()
    }

    #[test]
    fn places_follow_the_heads_in_log_order() {
        let mut heads = heads();
        let mut batch =
            Batch::new(vec![message(1, "bob", "a"), message(2, "carol", "b"), message(3, "bob", "c")], false);
        assert_eq!(batch.next(&heads), Step::ReadHeads(vec![r#"["alice","bob"]"#, r#"["alice","carol"]"#]));
        batch.heads_read(&HashMap::from([(r#"["alice","bob"]"#.to_owned(), 7)]), &mut heads);
        let Step::Write(plan) = batch.next(&heads) else { panic!() };
        assert_eq!(places(batch.next(&heads)), [(0, 8), (1, 1), (2, 9)]);
        batch.written(&plan, &mut heads);
        assert_eq!(batch.next(&heads), Step::Finished);
        assert_eq!(heads.get(r#"["alice","bob"]"#), Some(9));
    }

    #[test]
    fn a_memory_that_runs_over_forgets_and_never_counts_from_nothing() {
        let mut heads = Heads::new(3);
        for (conversation, head) in [(r#"["alice","bob"]"#, 7), ("x", 1), ("y", 1)] {
            heads.set(conversation, head);
        }
        let batch = Batch::new(vec![message(1, "carol", "a"), message(2, "bob", "b")], false);
        assert_eq!(batch.next(&heads), Step::ReadHeads(vec![r#"["alice","carol"]"#]));
        batch.heads_read(&HashMap::new(), &mut heads);
        assert_eq!(batch.next(&heads), Step::ReadHeads(vec![r#"["alice","bob"]"#]));
        batch.heads_read(&HashMap::from([(r#"["alice","bob"]"#.to_owned(), 7)]), &mut heads);
        assert_eq!(places(batch.next(&heads)), [(0, 1), (1, 8)]);
    }

    #[test]
    fn repeats_within_a_batch_wait_for_the_first() {
        let mut heads = heads();
        let batch = vec![message(1, "bob", "a"), message(1, "bob", "a"), message(1, "bob", "other")];
        let mut batch = Batch::new(batch, false);
        batch.heads_read(&HashMap::new(), &mut heads);
        let Step::Write(plan) = batch.next(&heads) else { panic!() };
        assert_eq!(plan, [Place { index: 0, seq: 1 }]);
        batch.written(&plan, &mut heads);
        assert_eq!(batch.fates().collect::<Vec<_>>(), [Fate::Stored, Fate::Repeat, Fate::Conflict]);
    }

    #[test]
    fn after_a_doubt_only_what_is_missing_is_written() {
        let mut heads = heads();
        let messages = [message(1, "bob", "a"), message(2, "bob", "b"), message(3, "bob", "c")];
        let mut batch = Batch::new(messages.to_vec(), false);
        batch.heads_read(&HashMap::new(), &mut heads);
        batch.doubt(&mut heads);
        let Step::ReadBack { ids, conversations } = batch.next(&heads) else { panic!() };
        assert_eq!((ids.len(), conversations.len()), (3, 1));
        let other = Message { content: "not the same".into(), ..messages[1].clone() };
        let found = HashMap::from([(r#"["alice","bob"]"#.to_owned(), 2)]);
        assert!(batch.read_back(&known(&[(&messages[0], 1), (&other, 2)]), found, &mut heads));
        assert_eq!(places(batch.next(&heads)), [(2, 3)]);
        assert_eq!(batch.fates().collect::<Vec<_>>(), [Fate::Repeat, Fate::Conflict, Fate::Open]);
    }

    #[test]
    fn standing_still_is_told() {
        let mut heads = heads();
        let mut batch = Batch::new(vec![message(1, "bob", "a")], true);
        assert!(batch.read_back(&Known::new(), HashMap::new(), &mut heads));
        batch.doubt(&mut heads);
        assert!(!batch.read_back(&Known::new(), HashMap::new(), &mut heads));
    }

    #[test]
    #[ignore = "`cargo xtask budgets` counts what it costs"]
    fn cost_of_placing_a_thousand_messages() {
        let new = |number: u32| NewMessage {
            from_user: "alice".into(),
            to_user: format!("bob{}", number % 50),
            content: "x".repeat(100),
        };
        let id = |number: u32| {
            [number.to_be_bytes(), number.to_be_bytes()].concat().into_iter().chain([0, 0]).collect::<Vec<u8>>()
        };
        let accepted = |number| Message::accept(new(number), 1_758_865_780_040, id(number).try_into().unwrap());
        let messages: Vec<Message> = (0..1_000).map(accepted).collect();
        wiber_budget::repeat(|| {
            let mut heads = heads();
            let mut batch = Batch::new(messages.clone(), false);
            batch.heads_read(&HashMap::new(), &mut heads);
            let Step::Write(plan) = batch.next(&heads) else { panic!() };
            batch.written(&plan, &mut heads);
            assert_eq!(batch.next(&heads), Step::Finished);
        });
    }
}
