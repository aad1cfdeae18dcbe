//! Majority reads that settle doubts: which ids are stored, with what, and how far each conversation has come.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use mongodb::options::Hint;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wiber_model::{Message, MessageId};

use super::error::within;
use super::prepare::{by_conversation, by_id};
use super::{Error, MessageDocument, Store, limits};

/// Messages that are stored by a majority, with their places.
pub type Known = HashMap<MessageId, (Message, i64)>;

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "_id")]
    conversation: String,
    seq: i64,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: MessageId,
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
            let stored = d.into_stored();
            (stored.message.message_id.clone(), (stored.message, stored.seq))
        });
        Ok(known.collect())
    }

    /// Which of these messages need no outbox row any more: stored or dead-lettered, each by a majority.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn settled(&self, ids: &[MessageId]) -> Result<HashSet<MessageId>, Error> {
        const STEP: &str = "reading which messages are settled";
        let ids: Vec<&str> = ids.iter().map(MessageId::as_str).collect();
        let stored: Vec<Id> = find_ids(STEP, &self.messages, &ids, by_id()).await?;
        let mut settled: HashSet<MessageId> = stored.into_iter().map(|d| d.id).collect();
        let rest: Vec<&str> = ids.into_iter().filter(|id| !settled.iter().any(|s| s.as_str() == *id)).collect();
        let dead: Vec<Id> = find_ids(STEP, &self.dead_letters, &rest, by_id()).await?;
        settled.extend(dead.into_iter().map(|d| d.id));
        Ok(settled)
    }
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
