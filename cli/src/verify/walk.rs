//! A conversation's documents by place: without holes, in the order of the log, and in the order of each outbox's positions.

use std::collections::HashMap;

use wiber_bridge::store::{self, MessageDocument};

use super::Context;
use super::findings::{Findings, Kind};
use super::published::Place;

/// Most holes that are kept before they are looked at once more.
const HOLES_AT_ONCE: usize = 1_000;

/// All conversations, one after the other.
#[derive(Default)]
pub(super) struct Walk {
    /// The one that is walked.
    conversation: Option<Conversation>,
    holes: Vec<Hole>,
}

struct Conversation {
    key: String,
    seq: i64,
    /// The last place in the log so far.
    place: Option<Place>,
    /// By outbox, the highest position so far.
    positions: HashMap<String, i64>,
}

/// Places of a conversation that no document holds, as it seems.
struct Hole {
    conversation: String,
    after: i64,
    before: i64,
}

/// A document's record, as far as it tells the order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Where it lies.
    pub(super) place: Option<Place>,
    /// It was replayed from the dead letters, so it comes after what its outbox accepted later.
    pub(super) is_replay: bool,
}

impl Walk {
    /// The next document by conversation and place.
    pub(super) fn step(
        &mut self,
        document: &MessageDocument,
        record: Record,
        context: &Context<'_>,
        findings: &mut Findings,
    ) {
        let same = self.conversation.take().filter(|last| last.key == document.conversation);
        let before = match &same {
            Some(last) => Some(last.seq),
            // Within bounds of time a conversation may begin anywhere.
            None => (!context.scope.is_timed()).then_some(0),
        };
        let mut misordered = |problem| findings.add(Kind::Misordered, document.id.as_str(), problem);
        if let Some(before) = before {
            if document.seq <= before {
                misordered(format!("its place in its conversation is {}, after one that holds {before}", document.seq));
            } else if document.seq > before + 1 {
                let conversation = document.conversation.clone();
                self.holes.push(Hole { conversation, after: before, before: document.seq });
            }
        }
        let mut next = same.unwrap_or_else(|| Conversation {
            key: document.conversation.clone(),
            seq: 0,
            place: None,
            positions: HashMap::new(),
        });
        next.seq = document.seq;
        let in_log = next.after_in_log(document.seq, record.place, context.topic.name());
        let in_outbox = if record.is_replay { None } else { next.after_in_outbox(document) };
        // The second follows from the first.
        if let Some(problem) = in_log.or(in_outbox) {
            misordered(problem);
        }
        self.conversation = Some(next);
    }

    /// Whether so many places are without a document that they should be looked at before the walk goes on.
    pub(super) fn has_many_holes(&self) -> bool {
        self.holes.len() >= HOLES_AT_ONCE
    }

    /// Looks once more at places that no document seemed to hold.
    pub(super) async fn resolve_holes(
        &mut self,
        context: &Context<'_>,
        findings: &mut Findings,
    ) -> Result<(), store::Error> {
        for Hole { conversation, after, before } in self.holes.drain(..) {
            let places = u64::try_from(before - after - 1).unwrap_or(0);
            let held = context.store.count_between(&conversation, after, before).await?;
            if held < places {
                let (first, last) = (after + 1, before - 1);
                let which = if first == last {
                    format!("place {first}")
                } else {
                    format!("of places {first} to {last}, {}", places - held)
                };
                let verb = if first == last { "is" } else { "are" };
                findings.add(Kind::Misordered, &conversation, format!("{which} {verb} held by no document"));
            }
        }
        Ok(())
    }
}

impl Conversation {
    /// What is wrong if the record lies before that of a lower place.
    fn after_in_log(&mut self, seq: i64, place: Option<Place>, topic: &str) -> Option<String> {
        let place = place?;
        match self.place {
            Some(last) if last.partition() == place.partition() && place < last => Some(format!(
                "it has place {seq} of its conversation, and its record at {} lies before the one at {}, whose message \
                 has a lower place",
                place.text(topic),
                last.text(topic)
            )),
            _ => {
                self.place = Some(place);
                None
            }
        }
    }

    /// What is wrong if its outbox accepted it before a message of a lower place.
    fn after_in_outbox(&mut self, document: &MessageDocument) -> Option<String> {
        let row = document.trace.origin()?;
        let highest = self.positions.entry(row.source).or_insert(row.sequence);
        if row.sequence >= *highest {
            *highest = row.sequence;
            return None;
        }
        Some(format!(
            "it has place {} of its conversation, and its outbox accepted it at position {}, before the message at \
             position {highest}, which has a lower place",
            document.seq, row.sequence
        ))
    }
}
