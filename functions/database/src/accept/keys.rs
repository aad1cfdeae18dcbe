//! Idempotency keys: each message of a request is recorded under a key of its own, so that all of them are found again
//! whatever became of their rows, and each counts in the bounds.
//!
//! A message sent alone has the key as the sender gave it. Of an array the first message has it with a line feed, which
//! no sender's key holds, and the others are found by the first one's id. Keys are freed in the order in which they were
//! recorded, so that where the first is, all are.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::Batch;
use crate::{Connection, Database, Error, Value};

/// How a request was made. Requests of two forms are never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One message.
    Single,
    /// An array of messages, be it of one.
    Array,
}

/// An idempotency key and the sender it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The sender.
    pub user: String,
    /// The key as the sender gave it, visible ASCII characters.
    pub key: String,
    /// How the request was made.
    pub form: Form,
}

impl Key {
    /// Under which key the message at `index` is recorded.
    pub(super) fn of_message(&self, index: usize, first_id: &str) -> String {
        match (self.form, index) {
            (Form::Single, _) => self.key.clone(),
            (Form::Array, 0) => format!("{}\n", self.key),
            (Form::Array, index) => format!("\n{first_id}\n{index}"),
        }
    }
}

impl Serialize for Key {
    /// As the statements read it; of either form.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut key = serializer.serialize_struct("Key", 2)?;
        key.serialize_field("user", &self.user)?;
        key.serialize_field("key", &self.key)?;
        key.end()
    }
}

/// What the request that used a key first was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// These messages, as JSON, in their order: as many as are asked for now, in the same form.
    Messages(Vec<String>),
    /// It was another request.
    Other,
}

// For each key the first message that has it. Packed into one text, as every answer of many rows.
const OWNERS: &str = "SELECT json_group_array(json_array(e.key, (SELECT i.message ->> 'messageId' FROM idempotency AS i
        WHERE i.user = e.value ->> 'user' AND i.key IN (e.value ->> 'key', (e.value ->> 'key') || char(10)))))
    FROM json_each(?1) AS e";

// What was recorded first under the key in either spelling, and how many others of its array there are, and how long.
const FIRST: &str = "SELECT json_array(first.key, first.message ->> 'messageId', first.message, count(other.id), coalesce(sum(length(other.message)), 0))
    FROM (SELECT user, key, message FROM idempotency WHERE user = ?1 AND key IN (?2, ?2 || char(10)) ORDER BY id LIMIT 1)
        AS first
    LEFT JOIN idempotency AS other ON other.user = first.user AND first.key = ?2 || char(10)
        AND other.key > char(10) || (first.message ->> 'messageId') || char(10)
        AND other.key < char(10) || (first.message ->> 'messageId') || char(11)
    GROUP BY first.key";
const OTHERS: &str = "SELECT json_group_array(message) FROM (SELECT message FROM idempotency WHERE user = ?1
    AND key > char(10) || ?2 || char(10) AND key < char(10) || ?2 || char(11) ORDER BY id)";

/// By how much the stored messages of an array may be longer than those of a request that is the same.
const LONGER_MAX: usize = 64 * 1024;

impl<C: Connection> Database<C> {
    /// What the request that used the key first was answered, for one of `count` messages with `length` bytes of JSON.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn earlier(&self, key: &Key, (count, length): (usize, usize)) -> Result<Option<Earlier>, Error> {
        let Key { user, key, form } = key;
        let found = self.one(FIRST, &[user.as_str().into(), key.as_str().into()]).await?;
        if found == Value::Null {
            return Ok(None);
        }
        let (stored, first_id, first, others, others_length): (String, String, String, usize, usize) =
            serde_json::from_str(&found.into_text()).map_err(damaged)?;
        let first_form = if stored.ends_with('\n') { Form::Array } else { Form::Single };
        // Read only where it may be the same: a short request must not bring forth a long answer.
        if first_form != *form || others + 1 != count || others_length > length + LONGER_MAX {
            return Ok(Some(Earlier::Other));
        }
        let mut messages = vec![first];
        if others > 0 {
            let packed = self.one(OTHERS, &[user.as_str().into(), first_id.into()]).await?.into_text();
            messages.extend(serde_json::from_str::<Vec<String>>(&packed).map_err(damaged)?);
        }
        // They may just have grown old.
        Ok((messages.len() == others + 1).then_some(Earlier::Messages(messages)))
    }

    /// For each batch the first message of the request that owns its key; none where there is no key, or nobody has it.
    pub(super) async fn owners(&self, batches: &[&Batch]) -> Result<Vec<Option<String>>, Error> {
        let (indices, keys): (Vec<usize>, Vec<&Key>) =
            batches.iter().enumerate().filter_map(|(index, batch)| Some((index, batch.key.as_ref()?))).unzip();
        let mut owners = vec![None; batches.len()];
        if keys.is_empty() {
            return Ok(owners);
        }
        let json = serde_json::to_string(&keys).map_err(|e| Error::Unavailable(e.to_string()))?;
        let packed = self.one(OWNERS, &[Value::Text(json)]).await?.into_text();
        let found: Vec<(usize, Option<String>)> = serde_json::from_str(&packed).map_err(damaged)?;
        for (place, owner) in found {
            if let Some(slot) = indices.get(place).and_then(|index| owners.get_mut(*index)) {
                *slot = owner;
            }
        }
        Ok(owners)
    }
}

fn damaged(error: serde_json::Error) -> Error {
    Error::Damaged(error.to_string())
}
