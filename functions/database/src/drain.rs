//! What the bridge does with the outbox: lease, read, mark, settle. Each is one statement that may be repeated.

use serde::Deserialize;
use serde_json::value::RawValue;
use wiber_model::outbox::{HeldRow, LEASE_MS_MAX, PublishedRow, READ_BYTES_MAX, Row, RowRef, UnsettledRow, Which};

use crate::{Connection, Database, Error, Value};

/// Rows that one statement reads: the longest ones together stay below [`READ_BYTES_MAX`].
const STEP_ROWS: u32 = 100;

/// The lease as a statement sees it.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// Who asks.
    pub holder: &'a str,
    /// The wall clock, Unix milliseconds.
    pub now_ms: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackedRow {
    position: i64,
    message: String,
    request_id: String,
    traceparent: String,
}

impl PackedRow {
    fn unpack(self) -> Result<Row, Error> {
        let message = RawValue::from_string(self.message).map_err(damaged)?;
        Ok(Row { position: self.position, message, request_id: self.request_id, traceparent: self.traceparent })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackedHeldRow {
    position: i64,
    message: String,
    accepted_at: i64,
    state: i64,
}

impl PackedHeldRow {
    fn unpack(self) -> Result<HeldRow, Error> {
        let message = RawValue::from_string(self.message).map_err(damaged)?;
        let published = self.state == 1;
        Ok(HeldRow { position: self.position, message, accepted_at: self.accepted_at, published })
    }
}

// Rows travel packed into one text: a row a time costs Spin a stream item and a task switch each.
const READ: &str = "SELECT json_group_array(json_object(
        'position', position, 'message', message, 'requestId', request_id, 'traceparent', traceparent))
    FROM (SELECT position, message, request_id, traceparent FROM outbox WHERE FILTER position > ?1 ORDER BY position LIMIT ?2)";

// The + keeps SQLite from walking the index on state and reading the whole list again for each row of it.
pub(crate) const PUBLISHED: &str = "UPDATE outbox SET state = 1, partition = e.value ->> 'partition', log_offset = e.value ->> 'offset',
        published_at = e.value ->> 'publishedAt'
    FROM json_each(?1) AS e
    WHERE outbox.position = e.value ->> 'position' AND outbox.message_id = e.value ->> 'messageId' AND +outbox.state = 0";

pub(crate) const UNSETTLED: &str = "SELECT json_group_array(json_object('position', position, 'messageId', message_id, 'partition', partition))
    FROM (SELECT position, message_id, partition FROM outbox WHERE state = 1 AND position > ?1 ORDER BY position LIMIT ?2)";

pub(crate) const ROWS: &str = "SELECT json_group_array(json_object(
        'position', position, 'message', message, 'acceptedAt', accepted_at, 'state', state))
    FROM (SELECT position, message, accepted_at, state FROM outbox WHERE position > ?1 ORDER BY position LIMIT ?2)";

// A replaced file may hold another message at the same position, hence the pair. CROSS JOIN and + keep the list outside,
// each of its rows looked up by position.
pub(crate) const SETTLE: &str = "DELETE FROM outbox WHERE position IN (SELECT o.position FROM json_each(?1) AS e
    CROSS JOIN outbox AS o ON o.position = e.value ->> 'position' AND +o.message_id = e.value ->> 'messageId')";

pub(crate) fn read_statement(which: Which) -> String {
    let filter = match which {
        Which::Unpublished => "state = 0 AND",
        Which::Unsettled => "",
    };
    READ.replace("FILTER", filter)
}

impl<C: Connection> Database<C> {
    /// Takes or renews the lease for `ttl_ms`, and tells the tenure, which grows each time it goes to another holder. A
    /// lease that ends further ahead than any lease may is a clock that jumped back, and counts as ended.
    ///
    /// # Errors
    /// Whatever SQLite says. `Ok(None)`: another holds it.
    pub async fn lease(&self, lease: Lease<'_>, ttl_ms: u64) -> Result<Option<i64>, Error> {
        const SQL: &str = "INSERT INTO lease VALUES (1, ?1, ?2 + ?3)
            ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
            WHERE lease.holder = excluded.holder OR lease.expires_at <= ?2 OR lease.expires_at > ?2 + ?4
            RETURNING (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'tenure')";
        let ttl = i64::try_from(ttl_ms.min(LEASE_MS_MAX)).unwrap_or(i64::MAX);
        let longest = i64::try_from(LEASE_MS_MAX).unwrap_or(i64::MAX);
        let rows = self.run(SQL, &[lease.holder.into(), lease.now_ms.into(), ttl.into(), longest.into()]).await?;
        Ok(rows.first().and_then(|row| row.first()).map(Value::integer))
    }

    /// Gives the lease up, if `holder` has it.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn release(&self, holder: &str) -> Result<u64, Error> {
        self.run("DELETE FROM lease WHERE holder = ?1", &[holder.into()]).await?;
        Ok(self.changes().await)
    }

    /// Whether `lease.holder` may read now.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn holds_lease(&self, lease: Lease<'_>) -> Result<bool, Error> {
        const SQL: &str = "SELECT count(*) FROM lease WHERE holder = ?1 AND expires_at > ?2";
        Ok(self.one(SQL, &[lease.holder.into(), lease.now_ms.into()]).await?.integer() == 1)
    }

    /// Rows above `after`, in position order, at most `limit` and about [`READ_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn read(&self, which: Which, after: i64, limit: u32) -> Result<Vec<Row>, Error> {
        let sql = read_statement(which);
        let (mut rows, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        loop {
            let after = rows.last().map_or(after, |row| row.position);
            let wanted = STEP_ROWS.min(limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)));
            let packed = self.one(&sql, &[after.into(), i64::from(wanted).into()]).await?.into_text();
            let mut step: Vec<PackedRow> = serde_json::from_str(&packed).map_err(damaged)?;
            step.sort_unstable_by_key(|row| row.position);
            let is_last = step.len() < STEP_ROWS as usize;
            for row in step {
                bytes += row.message.len();
                if bytes > READ_BYTES_MAX && !rows.is_empty() {
                    return Ok(rows);
                }
                rows.push(row.unpack()?);
            }
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// A number above every earlier one. It is kept in the file, so that no clock decides what is newer.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn next_run(&self) -> Result<i64, Error> {
        const SQL: &str = "INSERT INTO meta VALUES ('run', '1')
            ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)
            RETURNING CAST(value AS INTEGER)";
        Ok(self.one(SQL, &[]).await?.integer())
    }

    /// The highest position, 0 if there is no row.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn last_position(&self) -> Result<i64, Error> {
        Ok(self.one("SELECT coalesce(max(position), 0) FROM outbox", &[]).await?.integer())
    }

    /// Marks rows as published; returns how many were not yet.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn published(&self, rows: &[PublishedRow]) -> Result<u64, Error> {
        self.change(PUBLISHED, rows).await
    }

    /// Published rows above `after` that are not settled, in position order.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn unsettled(&self, after: i64, limit: u32) -> Result<Vec<UnsettledRow>, Error> {
        let packed = self.one(UNSETTLED, &[after.into(), i64::from(limit).into()]).await?.into_text();
        let mut rows: Vec<UnsettledRow> = serde_json::from_str(&packed).map_err(damaged)?;
        rows.sort_unstable_by_key(|row| row.position);
        Ok(rows)
    }

    /// Rows above `after` in position order, whatever became of them, at most `limit` and one statement's worth.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn rows(&self, after: i64, limit: u32) -> Result<Vec<HeldRow>, Error> {
        let packed = self.one(ROWS, &[after.into(), i64::from(limit.min(STEP_ROWS)).into()]).await?.into_text();
        let mut rows: Vec<PackedHeldRow> = serde_json::from_str(&packed).map_err(damaged)?;
        rows.sort_unstable_by_key(|row| row.position);
        rows.into_iter().map(PackedHeldRow::unpack).collect()
    }

    /// Frees exact rows; returns how many were still there.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn settle(&self, rows: &[RowRef]) -> Result<u64, Error> {
        self.change(SETTLE, rows).await
    }

    async fn change(&self, sql: &str, rows: &[impl serde::Serialize]) -> Result<u64, Error> {
        let json = serde_json::to_string(rows).map_err(|e| Error::Unavailable(e.to_string()))?;
        self.run(sql, &[Value::Text(json)]).await?;
        Ok(self.changes().await)
    }
}

fn damaged(error: serde_json::Error) -> Error {
    Error::Damaged(format!("a row does not hold a message ({error})"))
}
