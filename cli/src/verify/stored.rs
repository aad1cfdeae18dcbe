//! MongoDB: each document against its record, and each conversation's places against the log's order.

use wiber_bridge::store::{self, Found, MessageDocument};
use wiber_model::MessageId;

use super::Context;
use super::content::{Id, contradiction, digest};
use super::findings::{Findings, Kind};
use super::outboxes::Outboxes;
use super::published::{Place, Published};
use super::walk::{Record, Walk};

/// What MongoDB holds of the scope.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) count: u64,
    /// Documents without a record so far.
    pub(super) unmatched: Vec<Unmatched>,
    pub(super) walk: Walk,
}

/// A document without a record so far.
pub(super) struct Unmatched {
    pub(super) id: Id,
    pub(super) digest: u64,
    /// Where it says that its record lay; `None` if that is no place of this topic.
    pub(super) place: Option<Place>,
    pub(super) published_ms: i64,
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
            if stored.walk.has_many_holes() {
                stored.walk.resolve_holes(context, findings).await?;
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
        // Behind a gap the run counts, and what stands before it is passed over; and so it is with a replay, since an older
        // program may have taken for poison what this one reads.
        let is_replay = here.is_some_and(|here| published.is_replay(here, id, content));
        let counts = here.filter(|here| is_replay || published.is_of_run(*here, id));
        self.walk.step(document, Record { place: counts.or(first), is_replay }, context, findings);
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
}

fn place_of(document: &MessageDocument, topic: &str) -> Option<Place> {
    let log = &document.log;
    let is_place =
        log.topic == topic && (0..wiber_model::record::PARTITIONS).contains(&log.partition) && log.offset >= 0;
    is_place.then(|| Place::new(log.partition, log.offset, false))
}
