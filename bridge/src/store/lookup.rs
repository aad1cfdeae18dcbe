//! Majority reads that settle doubts: which ids are stored, with what, and how far each conversation has come.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::Hint;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wiber_model::outbox::RowRef;
use wiber_model::{Message, MessageId, record};

use super::document::Trace;
use super::error::within;
use super::prepare::{by_conversation, by_id};
use super::{Error, MessageDocument, Origin, Store, limits};

/// Messages that are stored by a majority.
pub type Known = HashMap<MessageId, KnownMessage>;

/// A message that is stored by a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMessage {
    /// The message.
    pub message: Message,
    /// Its place in its conversation.
    pub seq: i64,
    /// The outbox rows that need not be kept for it.
    pub origins: Vec<Origin>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_id")]
    conversation: String,
    seq: i64,
}

/// Of a stored message or a dead letter: which rows it settles.
#[derive(Deserialize)]
struct Settling {
    #[serde(rename = "_id")]
    id: MessageId,
    #[serde(default)]
    trace: Trace,
    #[serde(default)]
    settles: Vec<Origin>,
}

impl Settling {
    fn covers(&self, source: &str, sequence: i64) -> bool {
        let is_it = |origin: &Origin| origin.source == source && origin.sequence == sequence;
        self.trace.origin().as_ref().is_some_and(is_it) || self.settles.iter().any(is_it)
    }
}

impl Store {
    /// The highest `seq` of each conversation that has one.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn heads(&self, conversations: &[&str]) -> Result<HashMap<String, i64>, Error> {
        if conversations.is_empty() {
            return Ok(HashMap::new());
        }
        let read = async {
            let aggregate = self
                .messages
                .aggregate(heads_pipeline(conversations))
                .hint(Hint::Keys(by_conversation()))
                .batch_size(u32::try_from(conversations.len()).unwrap_or(u32::MAX))
                .max_time(limits::LOOKUP_SERVER)
                .with_type::<Head>();
            aggregate.await?.try_collect::<Vec<_>>().await
        };
        let heads = within("reading the heads of conversations", limits::LOOKUP, read).await?;
        Ok(heads.into_iter().map(|h| (h.conversation, h.seq)).collect())
    }

    /// Which of these messages are stored, and with what.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn known(&self, ids: &[&MessageId]) -> Result<Known, Error> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let documents: Vec<MessageDocument> = find_ids("reading ids back", &self.messages, &ids, doc! {}).await?;
        let known = documents.into_iter().map(|d| {
            let origins = d.origins();
            let stored = d.into_stored();
            let (message, seq) = (stored.message, stored.seq);
            (message.message_id.clone(), KnownMessage { message, seq, origins })
        });
        Ok(known.collect())
    }

    /// The positions of those rows of an outbox that need not be kept any more, because their own records are stored or
    /// dead-lettered, each by a majority.
    ///
    /// A message id alone proves nothing: a record that no outbox sent may claim any id, and would free a row that is
    /// stored nowhere. So the document under the row's id must name the row: in `trace`, since it was made of the row's
    /// record; or in `settles`, since the consumer met the row's record after it, and found it equal or dead-lettered it
    /// as a conflict. Contents need not be compared here. Who writes into the topic under the very headers of an outbox
    /// is believed: that is for Kafka's access control.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn settled(&self, outbox_id: &str, rows: &[RowRef]) -> Result<HashSet<i64>, Error> {
        const STEP: &str = "reading which messages are settled";
        let source = record::source(outbox_id);
        let mut open: HashMap<&str, i64> = rows.iter().map(|row| (row.message_id.as_str(), row.position)).collect();
        let mut settled = HashSet::new();
        let mut take = |open: &mut HashMap<&str, i64>, found: Vec<Settling>| {
            for document in found {
                let id = document.id.as_str();
                if let Some(position) = open.get(id).copied().filter(|position| document.covers(&source, *position)) {
                    open.remove(id);
                    settled.insert(position);
                }
            }
        };
        let ids: Vec<&str> = open.keys().copied().collect();
        take(&mut open, find_ids(STEP, &self.messages, &ids, settling()).await?);
        let ids: Vec<&str> = open.keys().copied().collect();
        take(&mut open, find_ids(STEP, &self.dead_letters, &ids, settling()).await?);
        Ok(settled)
    }
}

/// What tells which rows a document settles.
pub(super) fn settling() -> Document {
    doc! { "trace.source": 1, "trace.sequence": 1, "settles": 1 }
}

async fn find_ids<T, U>(
    step: &'static str,
    collection: &Collection<T>,
    ids: &[&str],
    projection: Document,
) -> Result<Vec<U>, Error>
where
    T: Send + Sync,
    U: DeserializeOwned + Send + Sync + Unpin,
{
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let typed = collection.clone_with_type::<U>();
    let read = async {
        let find = typed
            .find(doc! { "_id": { "$in": ids.to_vec() } })
            .projection(projection)
            .hint(Hint::Keys(by_id()))
            .batch_size(u32::try_from(ids.len()).unwrap_or(u32::MAX))
            .max_time(limits::LOOKUP_SERVER);
        find.await?.try_collect().await
    };
    within(step, limits::LOOKUP, read).await
}

/// `$first` under this sort lets the server jump from conversation to conversation (`DISTINCT_SCAN`) and read one index
/// entry of each, however long they are.
pub(super) fn heads_pipeline(conversations: &[&str]) -> [Document; 3] {
    [
        doc! { "$match": { "conversation": { "$in": conversations.to_vec() } } },
        doc! { "$sort": { "conversation": -1, "seq": -1 } },
        doc! { "$group": { "_id": "$conversation", "seq": { "$first": "$seq" } } },
    ]
}
