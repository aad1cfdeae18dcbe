//! Dead letters as an operator sees them: which wait, which were replayed.
//!
//! A letter waits until it is replayed. A record that was replayed and cannot be stored again is dead-lettered again: it
//! carries how often it was replayed, by which its letter is known to be newer than what is recorded.

use futures::TryStreamExt as _;
use mongodb::Cursor;
use mongodb::bson::{Document, deserialize_from_document, doc};
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};
use wiber_model::{query, record};

use super::error::within;
use super::prepare::by_id;
use super::{DEAD_LETTERS, DeadLetter, Error, Place, Store, limits};

/// One dead letter as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// The message's id, or the origin as `topic/partition/offset` where there is none of its own.
    #[serde(rename = "_id")]
    pub id: String,
    /// Why, a code of [`record::Poison`].
    pub reason: String,
    /// What exactly, for a person; never contents.
    #[serde(default)]
    pub detail: String,
    /// Where the record lay.
    pub origin: Place,
    /// When it was dead-lettered, Unix milliseconds.
    pub at: i64,
    /// When Kafka appended its record, Unix milliseconds.
    #[serde(default)]
    pub published_at: Option<i64>,
    /// The outbox rows that it settles; the first is its own, if it has one.
    #[serde(default)]
    pub settles: Vec<Row>,
    /// How often it has been replayed.
    #[serde(default)]
    pub replays: i64,
    /// When it was replayed last, Unix milliseconds; `None` while it waits.
    #[serde(default)]
    pub replayed_at: Option<i64>,
}

/// A row as records name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The outbox, as `ce_source`.
    pub source: String,
    /// Its position there.
    pub sequence: i64,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Only these; all if there is none.
    pub ids: Vec<String>,
    /// Only of this reason.
    pub reason: Option<String>,
    /// Dead-lettered at this time or later, Unix milliseconds.
    pub from_ms: Option<i64>,
    /// Dead-lettered before this time, Unix milliseconds.
    pub to_ms: Option<i64>,
    /// Also those that were replayed.
    pub replayed_too: bool,
}

impl LetterFilter {
    fn document(&self) -> Document {
        let mut filter = Document::new();
        if !self.ids.is_empty() {
            filter.insert("_id", doc! { "$in": &self.ids });
        }
        if let Some(reason) = &self.reason {
            filter.insert("reason", reason);
        }
        let mut at = Document::new();
        at.extend(self.from_ms.map(|from| ("$gte".to_owned(), from.into())));
        at.extend(self.to_ms.map(|to| ("$lt".to_owned(), to.into())));
        if !at.is_empty() {
            filter.insert("at", at);
        }
        if !self.replayed_too {
            filter.insert("replayedAt", doc! { "$exists": false });
        }
        filter
    }
}

/// Dead letters, one after the other.
#[derive(Debug)]
pub struct Letters {
    cursor: Cursor<Document>,
}

impl Letters {
    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// If no answer comes in time, or a document is not a dead letter.
    pub async fn next(&mut self) -> Result<Option<Letter>, Error> {
        let next = within("reading dead letters", limits::SCAN, self.cursor.try_next()).await?;
        next.map(|document| deserialize_from_document(document).map_err(shape)).transpose()
    }
}

impl Store {
    /// Dead letters, oldest first.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn letters(&self, filter: &LetterFilter) -> Result<Letters, Error> {
        let find = self.dead_letters.find(filter.document()).sort(doc! { "at": 1, "_id": 1 });
        let cursor = within("reading dead letters", limits::PREPARE, async { find.await }).await?;
        Ok(Letters { cursor })
    }

    /// How many dead letters wait.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn dead_letter_count(&self) -> Result<u64, Error> {
        const STEP: &str = "counting dead letters";
        let all = self.dead_letters.estimated_document_count().max_time(limits::QUERY_SERVER);
        // By the sparse index on the time of replay: few are replayed, and counting those that wait would read them all.
        let replayed = doc! { "replayedAt": { "$gt": 0_i64 } };
        let replayed = self.dead_letters.count_documents(replayed).max_time(limits::QUERY_SERVER);
        let count = async { Ok((all.await?, replayed.await?)) };
        let (all, replayed) = within(STEP, limits::QUERY, count).await?;
        Ok(all.saturating_sub(replayed))
    }

    /// Records that a letter was replayed at `at_ms`, for the `replays`-th time. Nothing changes if its record has been
    /// dead-lettered again meanwhile: it waits.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn mark_replayed(&self, letter: &Letter, replays: i64, at_ms: i64) -> Result<(), Error> {
        let mut same = doc! { "_id": &letter.id, "origin": place(&letter.origin) };
        // In a topic that was made anew another record may lie at the same place.
        if let Some(published) = letter.published_at {
            same.insert("publishedAt", published);
        }
        let write = self.dead_letters.update_one(same, doc! { "$set": { "replays": replays, "replayedAt": at_ms } });
        let write = write.hint(Hint::Keys(by_id()));
        within("recording a replay", self.write_limit, async { write.await }).await.map(drop)
    }

    /// Makes a letter wait again whose record was replayed and could not be stored again. A repeat, or an older record
    /// that is met again, changes nothing.
    pub(super) async fn renew_dead_letter(&self, letter: &DeadLetter) -> Result<(), Error> {
        let older = doc! {
            "_id": &letter.id,
            "$and": [
                { "$or": [
                    { "origin": { "$ne": place(&letter.origin) } },
                    { "publishedAt": { "$ne": letter.published_at_ms } },
                ] },
                { "$or": [{ "replays": { "$lte": letter.replays } }, { "replays": { "$exists": false } }] },
            ],
        };
        let set = doc! {
            "reason": letter.reason.code(),
            "detail": &letter.detail,
            "origin": place(&letter.origin),
            "at": letter.at_ms,
            "publishedAt": letter.published_at_ms,
            "replays": letter.replays,
        };
        let write = self.dead_letters.update_one(older, doc! { "$set": set, "$unset": { "replayedAt": "" } });
        within("renewing a dead letter", self.write_limit, async { write.await }).await.map(drop)
    }
}

/// What a query tells of a dead letter.
pub(super) fn hops(document: Document) -> Result<query::LetterHops, Error> {
    let letter: Letter = deserialize_from_document(document).map_err(shape)?;
    let row = letter.settles.first().and_then(|row| {
        let id = record::outbox_of(&row.source)?.to_owned();
        Some(query::OutboxRow { id, position: row.sequence })
    });
    Ok(query::LetterHops {
        reason: letter.reason,
        detail: letter.detail,
        at: letter.at,
        row,
        published_at: letter.published_at,
        topic: letter.origin.topic,
        partition: letter.origin.partition,
        offset: letter.origin.offset,
        replays: letter.replays,
        replayed_at: letter.replayed_at,
    })
}

/// A place as it is written; a comparison needs the fields in this order.
pub(super) fn place(place: &Place) -> Document {
    doc! { "topic": &place.topic, "partition": place.partition, "offset": place.offset }
}

fn shape(error: mongodb::bson::error::Error) -> Error {
    Error::Shape { collection: DEAD_LETTERS, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_only_what_was_asked_for() {
        assert_eq!(LetterFilter { replayed_too: true, ..LetterFilter::default() }.document(), doc! {});
        let waiting = doc! { "replayedAt": { "$exists": false } };
        assert_eq!(LetterFilter::default().document(), waiting);
        let filter = LetterFilter { from_ms: Some(5), reason: Some("no-key".into()), ..LetterFilter::default() };
        let expected = doc! { "reason": "no-key", "at": { "$gte": 5_i64 }, "replayedAt": { "$exists": false } };
        assert_eq!(filter.document(), expected);
    }
}
