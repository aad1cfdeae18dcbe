//! Reading messages back to check them: every document, whatever its shape.

use futures::TryStreamExt as _;
use mongodb::Cursor;
use mongodb::bson::{Bson, Document, deserialize_from_document, doc};
use mongodb::options::Hint;
use wiber_model::Conversation;

use super::error::within;
use super::prepare::{by_conversation, by_id};
use super::{Error, MessageDocument, Store, limits};

/// Most ids in one look-up.
pub const IDS_MAX: usize = 1_000;
/// Unix milliseconds of 13 digits, whose text sorts as the number does: from 2001 to 2286.
const MILLIS_MIN: i64 = 1_000_000_000_000;
const MILLIS_MAX: i64 = 9_999_999_999_999;

/// Which documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Everything,
    /// Those of one conversation.
    Conversation(Conversation),
    /// At least those whose ids carry a time from the first on and before the second, Unix milliseconds.
    Ids(i64, i64),
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has a message's shape.
    Message(Box<MessageDocument>),
    /// It has not.
    Odd {
        /// Its `_id` as text.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Found {
    fn of(document: Document) -> Self {
        let id = match document.get("_id") {
            Some(Bson::String(id)) => id.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        match deserialize_from_document(document) {
            Ok(message) => Self::Message(Box::new(message)),
            Err(error) => Self::Odd { id, detail: error.to_string() },
        }
    }
}

/// Documents by conversation and `seq`.
#[derive(Debug)]
pub struct Scan {
    cursor: Cursor<Document>,
}

impl Scan {
    /// The next document; `None` after the last.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn next(&mut self) -> Result<Option<Found>, Error> {
        let next = within("reading messages", limits::SCAN, self.cursor.try_next()).await?;
        Ok(next.map(Found::of))
    }
}

impl Store {
    /// Every document of a scope, by conversation and `seq`.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn scan(&self, scope: &Scope) -> Result<Scan, Error> {
        let (filter, hint) = match scope {
            Scope::Everything => (doc! {}, by_conversation()),
            Scope::Conversation(key) => (doc! { "conversation": key.as_str() }, by_conversation()),
            Scope::Ids(from, to) => (ids_between(*from, *to), by_id()),
        };
        let raw = self.messages.clone_with_type::<Document>();
        let find = raw.find(filter).sort(by_conversation()).hint(Hint::Keys(hint)).allow_disk_use(true);
        let cursor = within("reading messages", limits::PREPARE, async { find.await }).await?;
        Ok(Scan { cursor })
    }

    /// The documents under these ids, at most [`IDS_MAX`].
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn look_up(&self, ids: &[&str]) -> Result<Vec<Found>, Error> {
        let raw = self.messages.clone_with_type::<Document>();
        let read = async {
            let find = raw.find(doc! { "_id": { "$in": ids.to_vec() } }).hint(Hint::Keys(by_id()));
            find.max_time(limits::LOOKUP_SERVER).await?.try_collect::<Vec<_>>().await
        };
        let found = within("looking messages up", limits::LOOKUP, read).await?;
        Ok(found.into_iter().map(Found::of).collect())
    }

    /// How many documents of a conversation lie between two places, both excluded.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn count_between(&self, conversation: &str, after: i64, before: i64) -> Result<u64, Error> {
        let filter = doc! { "conversation": conversation, "seq": { "$gt": after, "$lt": before } };
        let count = self.messages.count_documents(filter).hint(Hint::Keys(by_conversation()));
        let count = count.max_time(limits::LOOKUP_SERVER);
        within("counting places", limits::LOOKUP, async { count.await }).await
    }
}

/// As text, ids of another number of digits may lie between: the caller looks at each id's own time.
fn ids_between(from: i64, to: i64) -> Document {
    let mut range = Document::new();
    if from >= MILLIS_MIN {
        range.insert("$gte", format!("msg_{from}_"));
    }
    if to <= MILLIS_MAX {
        range.insert("$lt", format!("msg_{to}_"));
    }
    if range.is_empty() {
        doc! {}
    } else {
        doc! { "_id": range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_only_where_text_sorts_as_numbers_do() {
        let both = doc! { "_id": { "$gte": "msg_1758865780040_", "$lt": "msg_1758865780041_" } };
        assert_eq!(ids_between(1_758_865_780_040, 1_758_865_780_041), both);
        assert_eq!(ids_between(0, i64::MAX), doc! {});
    }

    #[test]
    fn a_document_of_another_shape_is_told_with_its_id() {
        let found = Found::of(doc! { "_id": "x", "seq": 1 });
        assert!(matches!(&found, Found::Odd { id, detail } if id == "x" && !detail.is_empty()), "{found:?}");
    }
}
