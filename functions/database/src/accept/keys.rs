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

/// What a request with a key was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// How it was made.
    pub form: Form,
    /// Its messages as JSON, in their order.
    pub messages: Vec<String>,
}

// For each key the first message that has it. Packed into one text, as every answer of many rows.
const OWNERS: &str = "SELECT json_group_array(json_array(e.key, (SELECT i.message ->> 'messageId' FROM idempotency AS i
        WHERE i.user = e.value ->> 'user' AND i.key IN (e.value ->> 'key', (e.value ->> 'key') || char(10)))))
    FROM json_each(?1) AS e";

// In one statement, so that all of an array are found or none.
const EARLIER: &str = "SELECT json_group_array(json_array(key, message)) FROM (
    SELECT id, key, message FROM idempotency WHERE user = ?1 AND key IN (?2, ?2 || char(10))
    UNION ALL
    SELECT other.id, other.key, other.message FROM idempotency AS first CROSS JOIN idempotency AS other
        ON other.user = ?1 AND other.key > char(10) || (first.message ->> 'messageId') || char(10)
            AND other.key < char(10) || (first.message ->> 'messageId') || char(11)
        WHERE first.user = ?1 AND first.key = ?2 || char(10)
    ORDER BY id)";

impl<C: Connection> Database<C> {
    /// What the request that used a key first was answered.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn earlier(&self, user: &str, key: &str) -> Result<Option<Earlier>, Error> {
        let packed = self.one(EARLIER, &[user.into(), key.into()]).await?.into_text();
        let mut rows: Vec<(String, String)> = serde_json::from_str(&packed).map_err(damaged)?;
        let place =
            |stored: &str| stored.rsplit_once('\n').and_then(|(_, place)| place.parse().ok()).unwrap_or(0_usize);
        rows.sort_by_key(|(stored, _)| place(stored));
        let Some((first, _)) = rows.first() else { return Ok(None) };
        let form = if first.ends_with('\n') { Form::Array } else { Form::Single };
        Ok(Some(Earlier { form, messages: rows.into_iter().map(|(_, message)| message).collect() }))
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
