//! Accepting: the one statement that makes batches, their keys and the counters durable together.

mod keys;
mod statement;

use serde_json::Error as JsonError;
use wiber_model::Message;

use crate::{Connection, Database, Error, Value};

pub use keys::{Earlier, Form, Key};
use statement::items;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The message's id.
    pub message_id: String,
    /// The message as JSON, which becomes the record's value byte for byte.
    pub json: String,
    /// When it was accepted, Unix milliseconds.
    pub accepted_at: i64,
}

impl Entry {
    /// An entry for `message`.
    ///
    /// # Errors
    /// If the message cannot be written as JSON, which does not happen for a valid one.
    pub fn new(message: &Message) -> Result<Self, JsonError> {
        Ok(Self {
            message_id: message.message_id.to_string(),
            json: serde_json::to_string(message)?,
            accepted_at: message.timestamp,
        })
    }
}

/// Messages that are accepted in their order, all of them or none; a message that is sent alone is a batch of one.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The messages, at least one.
    pub entries: Vec<Entry>,
    /// The idempotency key that covers all of them.
    pub key: Option<Key>,
    /// The sender's request id.
    pub request_id: String,
    /// The sender's trace context.
    pub traceparent: String,
}

impl Batch {
    /// What a row of the entry counts.
    fn bytes(&self, entry: &Entry) -> i64 {
        let text = entry.json.len() + self.request_id.len() + self.traceparent.len();
        i64::try_from(text).unwrap_or(i64::MAX).saturating_add(ROW_OVERHEAD_BYTES)
    }

    /// What the batch adds to the outbox: rows and bytes, the keys' included, one for each message.
    fn cost(&self) -> (i64, i64) {
        let copies = 1 + i64::from(self.key.is_some());
        let rows = i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
        let bytes = self.entries.iter().fold(0_i64, |sum, entry| sum.saturating_add(self.bytes(entry)));
        (copies.saturating_mul(rows), copies.saturating_mul(bytes))
    }

    /// How many messages, and how long they are as JSON, in bytes.
    #[must_use]
    pub fn extent(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.iter().map(|entry| entry.json.len()).sum())
    }

    fn first_id(&self) -> &str {
        self.entries.first().map_or("", |entry| &entry.message_id)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Inserted,
    KeyTaken,
    NoRoom,
}

impl<C: Connection> Database<C> {
    /// Makes the batches durable, in their order, and says for each whether it was inserted. A batch is left out if its
    /// key is taken or the outbox is full; all of the rest is committed and fsynced, or nothing is.
    ///
    /// # Errors
    /// See [`Error::nothing_written`].
    pub async fn accept(&self, batches: &[Batch], bounds: Bounds) -> Result<Vec<bool>, Error> {
        let all: Vec<&Batch> = batches.iter().collect();
        let mut outcomes = self.insert(&all, bounds).await?;
        // The sums counted those whose key is taken, and those that are too large, so there may be room for others yet.
        if outcomes.contains(&Outcome::KeyTaken) {
            self.try_again(&all, &mut outcomes, bounds, |_| true).await?;
        }
        let too_large = |(batch, outcome): (&&Batch, &Outcome)| *outcome == Outcome::NoRoom && batch.entries.len() > 1;
        if all.iter().zip(&outcomes).any(too_large) {
            self.try_again(&all, &mut outcomes, bounds, |batch| batch.entries.len() == 1).await?;
        }
        Ok(outcomes.into_iter().map(|outcome| outcome == Outcome::Inserted).collect())
    }

    /// Tries once more for those that found no room and that `which` selects.
    async fn try_again(
        &self,
        batches: &[&Batch],
        outcomes: &mut [Outcome],
        bounds: Bounds,
        which: impl Fn(&Batch) -> bool,
    ) -> Result<(), Error> {
        let is_wanted = |index: &usize| outcomes[*index] == Outcome::NoRoom && which(batches[*index]);
        let indices: Vec<usize> = (0..batches.len()).filter(is_wanted).collect();
        if indices.is_empty() {
            return Ok(());
        }
        let rest: Vec<&Batch> = indices.iter().map(|index| batches[*index]).collect();
        // The others are durable, so this failure is no statement about all of them.
        let again = self.insert(&rest, bounds).await.map_err(|e| Error::Unknown(e.to_string()))?;
        for (index, outcome) in indices.into_iter().zip(again) {
            outcomes[index] = outcome;
        }
        Ok(())
    }

    /// The statement itself. It returns no rows: the write lock would be held until the component has read the last of
    /// them.
    async fn insert(&self, batches: &[&Batch], bounds: Bounds) -> Result<Vec<Outcome>, Error> {
        let json = serde_json::to_string(&items(batches)).map_err(|e| Error::Unavailable(e.to_string()))?;
        self.run(statement::accept(batches), &[Value::Text(json), bounds.rows_max.into(), bounds.bytes_max.into()])
            .await?;
        let inserted = usize::try_from(self.changes().await).unwrap_or(usize::MAX);
        if inserted == batches.iter().map(|batch| batch.entries.len()).sum::<usize>() {
            return Ok(vec![Outcome::Inserted; batches.len()]);
        }
        // From here on the batches are durable or not, and only the answer is missing.
        let owners = self.owners(batches).await.map_err(|e| Error::Unknown(e.to_string()))?;
        Ok(attribute(batches, inserted, &owners))
    }
}

/// Which batches make up the `inserted` rows: of those with a key, the owners of their keys; of those without, the
/// first, since sums only grow and so the bound cuts off the end.
fn attribute(batches: &[&Batch], inserted: usize, owners: &[Option<String>]) -> Vec<Outcome> {
    let of_keyed = |(batch, owner): (&&Batch, &Option<String>)| match (&batch.key, owner) {
        (None, _) => None,
        (Some(_), None) => Some(Outcome::NoRoom),
        (Some(_), Some(owner)) if owner == batch.first_id() => Some(Outcome::Inserted),
        (Some(_), Some(_)) => Some(Outcome::KeyTaken),
    };
    let mut outcomes: Vec<Option<Outcome>> = batches.iter().zip(owners).map(of_keyed).collect();
    let with_key = batches.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Some(Outcome::Inserted));
    let with_key: usize = with_key.map(|(batch, _)| batch.entries.len()).sum();
    let mut without_key = inserted.saturating_sub(with_key);
    for (batch, outcome) in batches.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()) {
        let rest = without_key.checked_sub(batch.entries.len());
        *outcome = Some(if rest.is_some() { Outcome::Inserted } else { Outcome::NoRoom });
        without_key = rest.unwrap_or(0);
    }
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NoRoom)).collect()
}
