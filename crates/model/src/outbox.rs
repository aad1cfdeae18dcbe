//! Bodies of the internal outbox protocol, `/internal/outbox/*`: how the bridge drains an outbox.
//!
//! Every call is a POST with a JSON body and a bearer token, except [`STATISTICS`], which is a GET. Every answer carries
//! the random id that the outbox got when its file was made, so that a replaced file is noticed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::MessageId;

/// Prefix of every path of this protocol.
pub const PREFIX: &str = "/internal/outbox/";
/// Takes or renews the lease: [`LeaseRequest`] to [`LeaseAnswer`], 409 while another holds it.
pub const LEASE: &str = "/internal/outbox/lease";
/// Gives the lease up: [`ReleaseRequest`] to [`Changed`].
pub const RELEASE: &str = "/internal/outbox/release";
/// Reads rows by position, waiting for the first: [`ReadRequest`] to [`ReadAnswer`], 409 under another's lease.
pub const READ: &str = "/internal/outbox/read";
/// Marks rows as published: [`PublishedRequest`] to [`Changed`].
pub const PUBLISHED: &str = "/internal/outbox/published";
/// Lists published rows that are not settled: [`UnsettledRequest`] to [`UnsettledAnswer`].
pub const UNSETTLED: &str = "/internal/outbox/unsettled";
/// Frees exact rows, which are stored or dead-lettered: [`SettleRequest`] to [`Changed`].
pub const SETTLE: &str = "/internal/outbox/settle";
/// Lists rows to whoever checks them, without the lease: [`RowsRequest`] to [`RowsAnswer`]. It changes nothing.
pub const ROWS: &str = "/internal/outbox/rows";
/// Depth and age: GET to [`Statistics`].
pub const STATISTICS: &str = "/internal/outbox/statistics";

/// Most rows in one read, mark, listing or settlement.
pub const ROWS_MAX: u32 = 1_000;
/// Longest wait for the first row, in milliseconds.
pub const WAIT_MS_MAX: u32 = 10_000;
/// A read that waits no longer than this, milliseconds, looks for rows each millisecond where nothing tells it of a commit;
/// a longer one, for who expects none soon, less often.
pub const WAIT_MS_BUSY: u32 = 500;
/// Longest lease, in milliseconds.
pub const LEASE_MS_MAX: u64 = 60_000;
/// Largest body of these calls, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of messages after which a read stops adding rows.
pub const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks for the lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseRequest {
    /// Who asks; the same holder renews.
    pub holder: String,
    /// Time to live, milliseconds.
    pub ttl_ms: u64,
}

/// The lease is held by the asker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseAnswer {
    /// The outbox file's id.
    pub outbox_id: String,
    /// Grows each time the lease goes to another holder, so that an asker knows whether anyone else had it since. `None`
    /// from an outbox of an older version.
    #[serde(default)]
    pub tenure: Option<i64>,
}

/// Gives the lease up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Who held it.
    pub holder: String,
}

/// Which rows a read returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// Rows that Kafka has not acknowledged.
    Unpublished,
    /// All rows: also those that are published and not yet stored.
    Unsettled,
}

/// Reads rows in position order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadRequest {
    /// The lease's holder.
    pub holder: String,
    /// Rows above this position.
    pub after: i64,
    /// Most rows, 1 to [`ROWS_MAX`].
    pub limit: u32,
    /// How long to wait for the first row, milliseconds, at most [`WAIT_MS_MAX`].
    pub wait_ms: u32,
    /// Which rows.
    pub which: Which,
}

/// Rows, in position order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadAnswer {
    /// The outbox file's id.
    pub outbox_id: String,
    /// The rows; empty if none came in time.
    pub rows: Vec<Row>,
    /// With [`Which::Unsettled`] the highest position in the outbox, 0 if it was empty: who has read up to it has seen
    /// every row that there was when it was asked for.
    pub last_position: Option<i64>,
    /// With [`Which::Unsettled`] from the beginning on: a number above every earlier one of this outbox, by which the
    /// records of this sending again are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
}

/// One accepted message as the outbox holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its place in the outbox, increasing, never reused.
    pub position: i64,
    /// The message, in the JSON that becomes the record's value byte for byte.
    pub message: Box<RawValue>,
    /// The sender's request id.
    pub request_id: String,
    /// The sender's W3C trace context.
    pub traceparent: String,
}

/// Where Kafka put a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedRow {
    /// The row.
    pub position: i64,
    /// Its message.
    pub message_id: MessageId,
    /// Kafka's partition.
    pub partition: i32,
    /// Kafka's offset.
    pub offset: i64,
    /// When Kafka acknowledged it, Unix milliseconds.
    pub published_at: i64,
}

/// Marks rows as published.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedRequest {
    /// The rows, at most [`ROWS_MAX`].
    pub rows: Vec<PublishedRow>,
}

/// Lists published rows above a position.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsettledRequest {
    /// Rows above this position.
    pub after: i64,
    /// Most rows, 1 to [`ROWS_MAX`].
    pub limit: u32,
}

/// Published rows that are not settled, in position order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsettledAnswer {
    /// The outbox file's id.
    pub outbox_id: String,
    /// The rows.
    pub rows: Vec<UnsettledRow>,
}

/// A published row that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsettledRow {
    /// The row.
    pub position: i64,
    /// Its message.
    pub message_id: MessageId,
    /// Kafka's partition, as it was marked first.
    pub partition: i32,
}

impl From<UnsettledRow> for RowRef {
    fn from(row: UnsettledRow) -> Self {
        Self { position: row.position, message_id: row.message_id }
    }
}

/// Lists rows above a position, whatever became of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RowsRequest {
    /// Rows above this position.
    pub after: i64,
    /// Most rows, 1 to [`ROWS_MAX`]; an answer may hold fewer.
    pub limit: u32,
}

/// Rows, in position order; empty if there is none above the position.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowsAnswer {
    /// The outbox file's id.
    pub outbox_id: String,
    /// The rows.
    pub rows: Vec<HeldRow>,
}

/// A row that is not settled, as it is shown to whoever checks it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRow {
    /// Its place in the outbox.
    pub position: i64,
    /// The message as JSON.
    pub message: Box<RawValue>,
    /// When it was accepted, Unix milliseconds.
    pub accepted_at: i64,
    /// Whether Kafka has acknowledged it.
    pub published: bool,
}

/// An exact row: position and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RowRef {
    /// The row.
    pub position: i64,
    /// Its message.
    pub message_id: MessageId,
}

/// Frees exact rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettleRequest {
    /// The rows, at most [`ROWS_MAX`].
    pub rows: Vec<RowRef>,
}

/// How many rows a call changed; rows that were gone or already so are not counted and are no error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The outbox file's id.
    pub outbox_id: String,
    /// Rows changed.
    pub changed: u64,
}

/// The outbox's depth.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// The outbox file's id.
    pub outbox_id: String,
    /// Messages accepted since the file was made.
    pub accepted_total: i64,
    /// Rows that are not settled.
    pub messages: i64,
    /// Idempotency keys held.
    pub keys: i64,
    /// Bytes of rows and keys.
    pub bytes: i64,
    /// Most rows and keys together.
    pub rows_max: i64,
    /// Most bytes.
    pub bytes_max: i64,
    /// Age of the oldest row, milliseconds; 0 if there is none.
    pub oldest_age_ms: i64,
}
