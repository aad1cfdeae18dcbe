//! MongoDB as a primary and what a majority has. A write is on the primary at once and on the majority later, in order;
//! a fail-over takes back what is not. Reads see the majority.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use wiber_model::MessageId;

use crate::store::{DeadLetter, Gap, MessageDocument, NewGap, Origin, Resent, Topic};

/// What is stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    pub(crate) messages: BTreeMap<MessageId, MessageDocument>,
    pub(crate) places: BTreeMap<(String, i64), MessageId>,
    pub(crate) dead_letters: BTreeMap<String, (DeadLetter, Vec<Origin>)>,
    pub(crate) gaps: BTreeMap<i32, Gap>,
    pub(crate) topic: Option<Topic>,
}

type Change = Rc<dyn Fn(&mut Data)>;

/// The replica set.
#[derive(Default)]
pub(crate) struct Mongo {
    pub(crate) primary: Data,
    pub(crate) majority: Data,
    pending: VecDeque<(u64, Change)>,
    operations: u64,
    /// Taken back by a fail-over.
    gone: BTreeSet<u64>,
    /// A seeded bug: a write goes on behind a document that failed.
    pub(crate) unordered: bool,
}

impl Mongo {
    /// Makes a change on the primary; returns its number, by which a majority is waited for.
    pub(crate) fn change(&mut self, change: impl Fn(&mut Data) + 'static) -> u64 {
        change(&mut self.primary);
        self.operations += 1;
        self.pending.push_back((self.operations, Rc::new(change)));
        self.operations
    }

    /// Everything up to this operation reaches the majority; `false` if it was taken back before.
    pub(crate) fn replicate(&mut self, operation: u64) -> bool {
        if self.gone.contains(&operation) {
            return false;
        }
        while let Some((_, change)) = self.pending.pop_front_if(|(number, _)| *number <= operation) {
            change(&mut self.majority);
        }
        true
    }

    /// Another primary takes over: what no majority had is gone. Whether that was anything.
    pub(crate) fn fail_over(&mut self) -> bool {
        let had = !self.pending.is_empty();
        self.gone.extend(self.pending.drain(..).map(|(number, _)| number));
        self.primary = self.majority.clone();
        had
    }

    /// Inserts in order up to the first document that meets a unique index; says whether there was one.
    pub(crate) fn insert(&mut self, documents: Vec<MessageDocument>) -> (u64, bool) {
        let mut inserted = Vec::new();
        let mut met = false;
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for document in documents {
            let place = (document.conversation.clone(), document.seq);
            let id_taken = self.primary.messages.contains_key(&document.id) || ids.contains(&document.id);
            if id_taken || self.primary.places.contains_key(&place) || places.contains(&place) {
                met = true;
                if self.unordered {
                    continue;
                }
                break;
            }
            ids.insert(document.id.clone());
            places.insert(place);
            inserted.push(document);
        }
        let number = self.change(move |data| {
            for document in &inserted {
                data.places.insert((document.conversation.clone(), document.seq), document.id.clone());
                data.messages.insert(document.id.clone(), document.clone());
            }
        });
        (number, met)
    }

    pub(crate) fn add_origin(&mut self, id: MessageId, origin: Origin) -> u64 {
        self.change(move |data| {
            if let Some(document) = data.messages.get_mut(&id)
                && !document.settles.contains(&origin)
            {
                document.settles.push(origin.clone());
            }
        })
    }

    pub(crate) fn put_dead_letter(&mut self, letter: DeadLetter) -> u64 {
        self.change(move |data| {
            let (_, rows) = data.dead_letters.entry(letter.id.clone()).or_insert_with(|| (letter.clone(), Vec::new()));
            rows.extend(letter.settles.clone().filter(|row| !rows.contains(row)));
        })
    }

    /// As `Store::open_gap`: unless one waits there already, in the same topic.
    pub(crate) fn open_gap(&mut self, new: NewGap) -> u64 {
        let waits = |gap: &Gap| gap.topic_id == new.topic_id && !gap.resumed;
        if self.primary.gaps.get(&new.partition).is_some_and(waits) {
            return self.change(|_| ());
        }
        let gap = Gap {
            topic: new.topic,
            partition: new.partition,
            epoch: new.now_ms,
            reason: new.reason,
            topic_id: new.topic_id,
            resume_at: new.resume_at,
            records: new.records,
            resumed: false,
            resent: Vec::new(),
        };
        self.change(move |data| drop(data.gaps.insert(gap.partition, gap.clone())))
    }

    pub(crate) fn mark_resent(&mut self, gap: &Gap, resent: Resent) -> u64 {
        self.change_gap(gap, move |gap| {
            if !gap.resent.iter().any(|r| r.url == resent.url) {
                gap.resent.push(resent.clone());
            }
        })
    }

    pub(crate) fn mark_resumed(&mut self, gap: &Gap) -> u64 {
        self.change_gap(gap, |gap| gap.resumed = true)
    }

    pub(crate) fn close_gap(&mut self, gap: &Gap) -> u64 {
        let (partition, epoch) = (gap.partition, gap.epoch);
        self.change(move |data| {
            if data.gaps.get(&partition).is_some_and(|gap| gap.epoch == epoch) {
                data.gaps.remove(&partition);
            }
        })
    }

    fn change_gap(&mut self, gap: &Gap, change: impl Fn(&mut Gap) + 'static) -> u64 {
        let (partition, epoch) = (gap.partition, gap.epoch);
        self.change(move |data| {
            if let Some(gap) = data.gaps.get_mut(&partition).filter(|gap| gap.epoch == epoch) {
                change(gap);
            }
        })
    }
}

impl Data {
    /// As `Store::settled`: the document under the row's id must name the row.
    pub(crate) fn settles(&self, id: &MessageId, row: &Origin) -> bool {
        let stored = self.messages.get(id);
        let by_message = stored.is_some_and(|m| m.trace.origin().as_ref() == Some(row) || m.settles.contains(row));
        by_message || self.dead_letters.get(id.as_str()).is_some_and(|(_, rows)| rows.contains(row))
    }

    pub(crate) fn head(&self, conversation: &str) -> i64 {
        let places = self.places.range((conversation.to_owned(), 0)..=(conversation.to_owned(), i64::MAX));
        places.last().map_or(0, |((_, seq), _)| *seq)
    }
}
