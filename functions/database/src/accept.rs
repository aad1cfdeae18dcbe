//! Accepting: the one statement that makes messages, their keys and the counters durable together.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use wiber_model::Message;

use crate::{Connection, Database, Error, Value};

/// What a row costs besides its text: columns, indexes and page overhead, in bytes.
const ROW_OVERHEAD_BYTES: i64 = 160;

/// The outbox's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most messages and idempotency keys together.
    pub rows_max: i64,
    /// Most bytes of both.
    pub bytes_max: i64,
}

/// One message on its way into the outbox.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message's id.
    pub message_id: String,
    /// The message as JSON, which becomes the record's value byte for byte.
    pub json: String,
    /// When it was accepted, Unix milliseconds.
    pub accepted_at: i64,
    /// Idempotency key and the sender it belongs to.
    pub key: Option<(String, String)>,
    /// The sender's request id.
    pub request_id: String,
    /// The sender's trace context.
    pub traceparent: String,
}

impl Entry {
    /// An entry for `message`.
    ///
    /// # Errors
    /// If the message cannot be written as JSON, which does not happen for a valid one.
    pub fn new(
        message: &Message,
        key: Option<String>,
        request_id: &str,
        traceparent: &str,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            message_id: message.message_id.to_string(),
            json: serde_json::to_string(message)?,
            accepted_at: message.timestamp,
            key: key.map(|key| (message.from_user.clone(), key)),
            request_id: request_id.to_owned(),
            traceparent: traceparent.to_owned(),
        })
    }

    fn bytes(&self) -> i64 {
        i64::try_from(self.json.len() + self.request_id.len() + self.traceparent.len()).unwrap_or(i64::MAX)
            + ROW_OVERHEAD_BYTES
    }

    /// What the entry adds to the outbox: rows and bytes, the key's included.
    fn cost(&self) -> (i64, i64) {
        let copies = 1 + i64::from(self.key.is_some());
        (copies, copies * self.bytes())
    }
}

/// An entry as the statement reads it. The message is a text within the text: SQLite before 3.45 cuts a JSON string at
/// an escaped NUL, and as a text of its own the escape never reaches its parser.
#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    message: &'a str,
    request: &'a str,
    trace: &'a str,
    at: i64,
    bytes: i64,
    user: Option<&'a str>,
    key: Option<&'a str>,
    /// Rows and bytes of this and all earlier items of the statement: the bound holds for each item on its own.
    rows_sum: i64,
    bytes_sum: i64,
}

const ACCEPT: &str =
    "INSERT INTO outbox (message_id, message, request_id, traceparent, accepted_at, bytes, key_user, key)
    SELECT e.value ->> 'id', e.value ->> 'message', e.value ->> 'request', e.value ->> 'trace', e.value ->> 'at',
           e.value ->> 'bytes', e.value ->> 'user', e.value ->> 'key'
    FROM counters AS c, json_each(?1) AS e
    WHERE c.messages + c.keys + (e.value ->> 'rows_sum') <= ?2 AND c.bytes + (e.value ->> 'bytes_sum') <= ?3
    ORDER BY e.key";

// Whose these keys are. Packed into one text, as every answer of many rows.
const OWNERS: &str = "SELECT json_group_array(json_array(user, key, message ->> 'messageId')) FROM idempotency
    WHERE (user, key) IN (SELECT e.value ->> 'user', e.value ->> 'key' FROM json_each(?1) AS e)";

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Inserted,
    KeyTaken,
    NoRoom,
}

impl<C: Connection> Database<C> {
    /// Makes the entries durable, in their order, and says for each whether it was inserted. An entry is left out if its
    /// key is taken or the outbox is full; all of the rest is committed and fsynced, or nothing is.
    ///
    /// # Errors
    /// See [`Error::nothing_written`].
    pub async fn accept(&self, entries: &[Entry], bounds: Bounds) -> Result<Vec<bool>, Error> {
        let mut outcomes = self.insert(entries.iter(), bounds).await?;
        let counts = |outcome| outcomes.iter().filter(|o| **o == outcome).count();
        if counts(Outcome::KeyTaken) > 0 && counts(Outcome::NoRoom) > 0 {
            // The sums counted those whose key is taken, so there may be room for others yet.
            let indices: Vec<_> = (0..entries.len()).filter(|index| outcomes[*index] == Outcome::NoRoom).collect();
            let again = self.insert(indices.iter().map(|index| &entries[*index]), bounds).await;
            // The others are durable, so this failure is no statement about all of them.
            let again = again.map_err(|e| Error::Unknown(e.to_string()))?;
            for (index, outcome) in indices.into_iter().zip(again) {
                outcomes[index] = outcome;
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome == Outcome::Inserted).collect())
    }

    /// The statement itself. It returns no rows: the write lock would be held until the component has read the last of
    /// them.
    async fn insert<'a>(
        &self,
        entries: impl ExactSizeIterator<Item = &'a Entry> + Clone,
        bounds: Bounds,
    ) -> Result<Vec<Outcome>, Error> {
        let items = items(entries.clone());
        let json = serde_json::to_string(&items).map_err(|e| Error::Unavailable(e.to_string()))?;
        self.run(ACCEPT, &[Value::Text(json), bounds.rows_max.into(), bounds.bytes_max.into()]).await?;
        let inserted = usize::try_from(self.changes().await).unwrap_or(usize::MAX);
        if inserted == entries.len() {
            return Ok(vec![Outcome::Inserted; inserted]);
        }
        // From here on the entries are durable or not, and only the answer is missing.
        let owners = self.owners(entries.clone()).await.map_err(|e| Error::Unknown(e.to_string()))?;
        Ok(attribute(entries, inserted, &owners))
    }

    /// The messages that own these entries' keys.
    async fn owners<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Result<Owners, Error> {
        #[derive(Serialize)]
        struct Key<'a> {
            user: &'a str,
            key: &'a str,
        }
        let keys: Vec<_> = entries.filter_map(|e| e.key.as_ref()).map(|(user, key)| Key { user, key }).collect();
        if keys.is_empty() {
            return Ok(Owners::new());
        }
        let json = serde_json::to_string(&keys).map_err(|e| Error::Unavailable(e.to_string()))?;
        let packed = self.one(OWNERS, &[Value::Text(json)]).await?.into_text();
        let owners: Vec<(String, String, String)> =
            serde_json::from_str(&packed).map_err(|e| Error::Damaged(e.to_string()))?;
        Ok(owners.into_iter().map(|(user, key, message_id)| ((user, key), message_id)).collect())
    }
}

/// From sender and key to the message that has it.
type Owners = HashMap<(String, String), String>;

/// Which entries make up the `inserted` ones: of those with a key, the owners of their keys; of those without, the
/// first, since sums only grow and so the bound cuts off the end.
fn attribute<'a>(entries: impl Iterator<Item = &'a Entry> + Clone, inserted: usize, owners: &Owners) -> Vec<Outcome> {
    let of_keyed = |entry: &Entry| {
        entry.key.as_ref().map(|key| match owners.get(key) {
            Some(owner) if *owner == entry.message_id => Outcome::Inserted,
            Some(_) => Outcome::KeyTaken,
            None => Outcome::NoRoom,
        })
    };
    let with_key = entries.clone().filter(|entry| of_keyed(entry) == Some(Outcome::Inserted)).count();
    let mut without_key = inserted.saturating_sub(with_key);
    entries
        .map(|entry| {
            of_keyed(entry).unwrap_or_else(|| {
                let fits = without_key > 0;
                without_key = without_key.saturating_sub(1);
                if fits { Outcome::Inserted } else { Outcome::NoRoom }
            })
        })
        .collect()
}

fn items<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Item<'a>> {
    let (mut rows_sum, mut bytes_sum) = (0_i64, 0_i64);
    let mut keys = HashSet::new();
    entries
        .map(|entry| {
            // The second one with a key is left out, whatever becomes of the first.
            let is_repeated = entry.key.as_ref().is_some_and(|key| !keys.insert(key));
            let (rows, bytes) = if is_repeated { (0, 0) } else { entry.cost() };
            rows_sum = rows_sum.saturating_add(rows);
            bytes_sum = bytes_sum.saturating_add(bytes);
            Item {
                id: &entry.message_id,
                message: &entry.json,
                request: &entry.request_id,
                trace: &entry.traceparent,
                at: entry.accepted_at,
                bytes: entry.bytes(),
                user: entry.key.as_ref().map(|(user, _)| user.as_str()),
                key: entry.key.as_ref().map(|(_, key)| key.as_str()),
                rows_sum,
                bytes_sum,
            }
        })
        .collect()
}
