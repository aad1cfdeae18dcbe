//! Questions to the outbox that change nothing.

use crate::{Bounds, Connection, Database, Error, Value};

/// A message that is still in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its place in the outbox.
    pub position: i64,
    /// The message as JSON.
    pub json: String,
    /// When it was accepted, Unix milliseconds.
    pub accepted_at: i64,
    /// Kafka's partition, offset and time of acknowledgement (Unix milliseconds), once published.
    pub published: Option<(i64, i64, i64)>,
}

/// How full the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that are not settled.
    pub messages: i64,
    /// Idempotency keys.
    pub keys: i64,
    /// Bytes of both.
    pub bytes: i64,
    /// Messages accepted since the file was made.
    pub accepted_total: i64,
    /// When the oldest unsettled message was accepted, Unix milliseconds.
    pub oldest_accepted_at: Option<i64>,
}

impl Depth {
    /// Whether some message might not fit any more: one with a key takes two rows, and one of the longest the bytes of
    /// two. Where a bound is so small that this would be most of it, a hundredth is kept free instead.
    #[must_use]
    pub fn is_full(&self, bounds: Bounds) -> bool {
        const LONGEST_BYTES: i64 = 2 * 64 * 1024;
        let spare = LONGEST_BYTES.min((bounds.bytes_max / 100).max(1));
        self.messages + self.keys + 2 > bounds.rows_max || self.bytes + spare > bounds.bytes_max
    }
}

impl<C: Connection> Database<C> {
    /// The message with this id, if it is still in the outbox.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn find(&self, message_id: &str) -> Result<Option<Found>, Error> {
        const SQL: &str = "SELECT position, message, accepted_at, state, partition, log_offset, published_at
            FROM outbox WHERE message_id = ?1";
        if self.outbox_id().is_empty() {
            return Ok(None);
        }
        let rows = self.run(SQL, &[message_id.into()]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let Ok([position, json, accepted_at, state, partition, offset, at]) = <[Value; 7]>::try_from(row) else {
            return Ok(None);
        };
        let published = (state.integer() == 1).then(|| (partition.integer(), offset.integer(), at.integer()));
        Ok(Some(Found {
            position: position.integer(),
            json: json.into_text(),
            accepted_at: accepted_at.integer(),
            published,
        }))
    }

    /// How full the outbox is.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn depth(&self) -> Result<Depth, Error> {
        const SQL: &str = "SELECT messages, keys, bytes,
            (SELECT seq FROM sqlite_sequence WHERE name = 'outbox'),
            (SELECT accepted_at FROM outbox ORDER BY position LIMIT 1) FROM counters";
        if self.outbox_id().is_empty() {
            return Ok(Depth::default());
        }
        let rows = self.run(SQL, &[]).await?;
        let row = rows.into_iter().next().unwrap_or_default();
        let Ok([messages, keys, bytes, total, oldest]) = <[Value; 5]>::try_from(row) else {
            return Ok(Depth::default());
        };
        Ok(Depth {
            messages: messages.integer(),
            keys: keys.integer(),
            bytes: bytes.integer(),
            accepted_total: total.integer(),
            oldest_accepted_at: (oldest != Value::Null).then(|| oldest.integer()),
        })
    }

    /// A number that changes when another connection commits.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn data_version(&self) -> Result<i64, Error> {
        Ok(self.one("PRAGMA data_version", &[]).await?.integer())
    }

    /// The same once it is no longer `seen`, or after `wait_ms` milliseconds or earlier. On a host that cannot wait for a
    /// commit (only the embedded host can) it looks once, after `look_us` microseconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn next_data_version(&self, seen: i64, wait_ms: u64, look_us: u64) -> Result<i64, Error> {
        if self.host_waits.get() {
            let parameters = [seen, wait_ms.cast_signed(), look_us.cast_signed()].map(Value::from);
            match self.one("SELECT next_data_version(?1, ?2, ?3)", &parameters).await {
                Err(error) if error.is_unknown_function() => self.host_waits.set(false),
                version => return Ok(version?.integer()),
            }
        }
        self.pause(look_us).await;
        self.data_version().await
    }
}
