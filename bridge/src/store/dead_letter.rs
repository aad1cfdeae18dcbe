//! The record of what was dead-lettered: what frees the outbox row, and what a query tells.

use mongodb::bson::{Document, doc};
use wiber_model::query::MessageState;
use wiber_model::record::Poison;

use super::error::within;
use super::{Error, Origin, Place, Store, limits};

/// One dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The message's id, or the origin as `topic/partition/offset` where there is none of its own.
    pub id: String,
    /// Why.
    pub reason: Poison,
    /// What exactly, for a person; never contents.
    pub detail: String,
    /// Where the record lay.
    pub origin: Place,
    /// The outbox row that it was made of, which need not be kept any more.
    pub settles: Option<Origin>,
    /// When, Unix milliseconds.
    pub at_ms: i64,
}

impl Store {
    /// Records a dead letter by a majority; a repeat changes nothing. Another record that claims the same id adds its row.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), Error> {
        let mut write = doc! { "$setOnInsert": {
            "reason": letter.reason.code(),
            "detail": &letter.detail,
            "origin": { "topic": &letter.origin.topic, "partition": letter.origin.partition, "offset": letter.origin.offset },
            "at": letter.at_ms,
        } };
        if let Some(Origin { source, sequence }) = &letter.settles {
            write.insert("$addToSet", doc! { "settles": { "source": source, "sequence": *sequence } });
        }
        let write = self.dead_letters.update_one(doc! { "_id": &letter.id }, write).upsert(true);
        within("recording a dead letter", self.write_limit, async { write.await }).await.map(drop)
    }

    /// How many dead letters there are.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn dead_letter_count(&self) -> Result<u64, Error> {
        let count = self.dead_letters.estimated_document_count().max_time(limits::QUERY_SERVER);
        within("counting dead letters", limits::QUERY, async { count.await }).await
    }
}

/// What a query tells of a dead letter.
pub(super) fn state(document: &Document) -> Result<MessageState, Error> {
    let shape =
        |e: mongodb::bson::error::Error| Error::Shape { collection: super::DEAD_LETTERS, detail: e.to_string() };
    let reason = document.get_str("reason").map_err(shape)?.to_owned();
    let at = document.get_i64("at").map_err(shape)?;
    Ok(MessageState::DeadLettered { reason, at })
}
