//! The record of what was dead-lettered: what frees the outbox row, and what a query tells.

use mongodb::bson::{Document, doc};
use wiber_model::record::Poison;

use super::error::within;
use super::letters::place;
use super::{Error, Origin, Place, Store};

/// One dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The message's id, or the origin as `topic/partition/offset` where there is none of its own. A place that a topic
    /// made anew has once more is told apart by the time, `topic/partition/offset@published_at`.
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
    /// When Kafka appended the record, Unix milliseconds.
    pub published_at_ms: i64,
    /// How often the record had been replayed.
    pub replays: i64,
}

impl Store {
    /// Records a dead letter by a majority; a repeat changes nothing. Another record that claims the same message's id adds
    /// its row.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn put_dead_letter(&self, letter: &DeadLetter) -> Result<(), Error> {
        let mut write = doc! { "$setOnInsert": {
            "reason": letter.reason.code(),
            "detail": &letter.detail,
            "origin": place(&letter.origin),
            "at": letter.at_ms,
            "publishedAt": letter.published_at_ms,
            "replays": letter.replays,
        } };
        if let Some(Origin { source, sequence }) = &letter.settles {
            write.insert("$addToSet", doc! { "settles": { "source": source, "sequence": *sequence } });
        }
        if letter.id != letter.origin.to_string() {
            if letter.replays > 0 {
                self.renew_dead_letter(letter).await?;
            }
            return self.upsert_letter(doc! { "_id": &letter.id }, write).await;
        }
        // A letter that is named by its place is of one record: it is never renewed.
        let here = doc! { "_id": &letter.id, "publishedAt": letter.published_at_ms };
        let mut written = self.upsert_letter(here.clone(), write.clone()).await;
        // Twice, since two that insert the same at once get that error too.
        if written.as_ref().is_err_and(Error::is_duplicate_key) {
            written = self.upsert_letter(here, write.clone()).await;
        }
        if written.as_ref().is_err_and(Error::is_duplicate_key) {
            let id = format!("{}@{}", letter.id, letter.published_at_ms);
            written = self.upsert_letter(doc! { "_id": id }, write).await;
        }
        written
    }

    async fn upsert_letter(&self, which: Document, write: Document) -> Result<(), Error> {
        let write = self.dead_letters.update_one(which, write).upsert(true);
        within("recording a dead letter", self.write_limit, async { write.await }).await.map(drop)
    }
}
