//! Time limits and sizes of everything asked of MongoDB.

use std::time::Duration;

/// How long one connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_millis(1_500);
/// How long an operation looks for a primary before it fails.
pub(super) const SERVER_SELECTION: Duration = Duration::from_millis(1_500);
/// Connections to one server: one a partition and some for queries.
pub(super) const POOL_CONNECTIONS_MAX: u32 = 64;
/// What a write's answer may take beyond its write concern's limit before its outcome counts as unknown.
pub(super) const WRITE_MARGIN: Duration = Duration::from_secs(2);
/// A user's query as the server counts it.
pub(super) const QUERY_SERVER: Duration = Duration::from_millis(1_800);
/// A user's query in all, so that a GET answers within 3 s whatever hangs.
pub(super) const QUERY: Duration = Duration::from_millis(2_000);
/// A look-up of the bridge itself as the server counts it.
pub(super) const LOOKUP_SERVER: Duration = Duration::from_millis(4_500);
/// A look-up of the bridge itself in all.
pub(super) const LOOKUP: Duration = Duration::from_millis(5_000);
/// The next part of a long list.
pub(super) const SCAN: Duration = Duration::from_secs(60);
/// One sign of life.
pub(super) const PING: Duration = Duration::from_millis(1_500);
/// Making the indexes, which may scan a large collection.
pub(super) const PREPARE: Duration = Duration::from_secs(600);
