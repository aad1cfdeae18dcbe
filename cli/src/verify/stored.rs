//! MongoDB: each document against its record, and each conversation's places against the log's order.

use wiber_bridge::store::{self, Found, MessageDocument};
use wiber_model::MessageId;

use super::Context;
use super::content::{Id, contradiction, digest};
use super::findings::{Findings, Kind};
use super::outboxes::Outboxes;
use super::published::{Place, Published};

/// Most holes that are looked at once more.
const HOLES_MAX: usize = 10_000;

/// What MongoDB holds of the scope.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) count: u64,
    /// Documents without a record so far.
    pub(super) unmatched: Vec<Unmatched>,
    holes: Vec<Hole>,
    walk: Option<Walk>,
}

/// A document without a record so far.
pub(super) struct Unmatched {
    pub(super) id: Id,
    pub(super) digest: u64,
    /// Where it says that its record lay; `None` if that is no place of this topic.
    pub(super) place: Option<Place>,
    pub(super) published_ms: i64,
}

/// Places of a conversation that no document holds, as it seems.
struct Hole {
    conversation: String,
    after: i64,
    before: i64,
}

/// How far a conversation has been walked.
struct Walk {
    conversation: String,
    seq: i64,
    /// The last place in the log so far.
    place: Option<Place>,
}

impl Stored {
    /// Walks past every document of the scope.
    pub(super) async fn read(
        context: &Context<'_>,
        published: &mut Published,
        outboxes: &mut Outboxes,
        findings: &mut Findings,
    ) -> Result<Self, store::Error> {
        let task = context.progress.task("Reading MongoDB");
        let mut stored = Self::default();
        let mut scan = context.store.scan(&context.scope.documents()).await?;
        let (mut done, about) = (0_u64, published.messages());
        while let Some(found) = scan.next().await? {
            match found {
                Found::Message(document) => stored.take(&document, context, published, outboxes, findings),
                Found::Odd { id, detail } => stored.take_odd(&id, &detail, context, published, findings),
            }
            done += 1;
            if done % 1_000 == 0 {
                task.at(done, about.max(done));
            }
        }
        task.done(&format!("{} documents", stored.count));
        Ok(stored)
    }

    fn take(
        &mut self,
        document: &MessageDocument,
        context: &Context<'_>,
        published: &mut Published,
        outboxes: &mut Outboxes,
        findings: &mut Findings,
    ) {
        outboxes.meet(document.trace.source.as_deref(), document.trace.sequence);
        for origin in &document.settles {
            outboxes.meet(Some(&origin.source), Some(origin.sequence));
        }
        if !context.scope.holds_id(&document.id) {
            return;
        }
        self.count += 1;
        let (id, content) = (Id::of(&document.id), digest(&document.clone().into_stored().message));
        let variants = published.variants(id);
        let same = variants.clone().find(|index| published.entry(*index).digest == content);
        // Without a record it is judged by that alone.
        let problem = (!variants.is_empty()).then(|| contradiction(document)).flatten().or_else(|| {
            let differs = same.is_none() && !variants.is_empty();
            differs.then(|| "its content in MongoDB is not that of its record".to_owned())
        });
        if let Some(problem) = &problem {
            findings.add(Kind::Altered, document.id.as_str(), problem);
        }
        let here = place_of(document, context.topic.name());
        if variants.is_empty() {
            let published_ms = document.hops.published_at;
            self.unmatched.push(Unmatched { id, digest: content, place: here, published_ms });
        }
        // An altered one was told of; it counts as stored.
        variants
            .clone()
            .filter(|index| same.is_none_or(|same| same == *index))
            .for_each(|index| published.set_stored(index));
        // A record that is not where the document was made of it, but later, is a repeat: the first one is gone, and with
        // it the order.
        let first = same.map(|index| published.entry(index).place);
        let first = first.filter(|first| {
            here.is_some_and(|here| here.partition() == first.partition() && first.offset() <= here.offset())
        });
        // Behind a gap the run counts, and what stands before it is passed over.
        let of_run = here.filter(|here| published.is_of_run(*here, id));
        self.step(document, of_run.or(first), context, findings);
    }

    fn take_odd(
        &mut self,
        id: &str,
        detail: &str,
        context: &Context<'_>,
        published: &mut Published,
        findings: &mut Findings,
    ) {
        let parsed = MessageId::parse(id).ok();
        if parsed.as_ref().is_some_and(|id| !context.scope.holds_id(id)) {
            return;
        }
        self.count += 1;
        let variants = parsed.map_or(0..0, |id| published.variants(Id::of(&id)));
        let kind = if variants.is_empty() { Kind::Extra } else { Kind::Altered };
        findings.add(kind, id, format!("its document has not the shape of a message: {detail}"));
        variants.for_each(|index| published.set_stored(index));
    }

    /// The next document by conversation and place.
    fn step(
        &mut self,
        document: &MessageDocument,
        place: Option<Place>,
        context: &Context<'_>,
        findings: &mut Findings,
    ) {
        let last = self.walk.take().filter(|walk| walk.conversation == document.conversation);
        let before = match &last {
            Some(walk) => Some(walk.seq),
            // Within bounds of time a conversation may begin anywhere.
            None => (!context.scope.is_timed()).then_some(0),
        };
        if let Some(before) = before {
            if document.seq <= before {
                let problem =
                    format!("its place in its conversation is {}, after one that holds {before}", document.seq);
                findings.add(Kind::Misordered, document.id.as_str(), problem);
            } else if document.seq > before + 1 && self.holes.len() < HOLES_MAX {
                let conversation = document.conversation.clone();
                self.holes.push(Hole { conversation, after: before, before: document.seq });
            }
        }
        let mut furthest = last.and_then(|walk| walk.place);
        match (furthest, place) {
            (Some(last), Some(place)) if last.partition() == place.partition() && place < last => {
                let (last, place) = (last.text(context.topic.name()), place.text(context.topic.name()));
                let problem = format!(
                    "it has place {} of its conversation, and its record at {place} lies before the one at {last}, whose \
                     message has a lower place",
                    document.seq
                );
                findings.add(Kind::Misordered, document.id.as_str(), problem);
            }
            (_, Some(place)) => furthest = Some(place),
            (_, None) => {}
        }
        self.walk = Some(Walk { conversation: document.conversation.clone(), seq: document.seq, place: furthest });
    }

    /// Looks once more at places that no document seemed to hold.
    pub(super) async fn resolve_holes(
        &self,
        context: &Context<'_>,
        findings: &mut Findings,
    ) -> Result<(), store::Error> {
        for Hole { conversation, after, before } in &self.holes {
            let places = u64::try_from(before - after - 1).unwrap_or(0);
            let held = context.store.count_between(conversation, *after, *before).await?;
            if held < places {
                let (first, last) = (after + 1, before - 1);
                let which = if first == last {
                    format!("place {first}")
                } else {
                    format!("of places {first} to {last}, {}", places - held)
                };
                let verb = if first == last { "is" } else { "are" };
                findings.add(Kind::Misordered, conversation, format!("{which} {verb} held by no document"));
            }
        }
        Ok(())
    }
}

fn place_of(document: &MessageDocument, topic: &str) -> Option<Place> {
    let log = &document.log;
    let is_place =
        log.topic == topic && (0..wiber_model::record::PARTITIONS).contains(&log.partition) && log.offset >= 0;
    is_place.then(|| Place::new(log.partition, log.offset, false))
}
