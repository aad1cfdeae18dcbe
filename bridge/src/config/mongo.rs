//! MongoDB's settings.

use std::time::Duration;

use super::reader::Reader;
use super::secret::Secret;
use super::{parse, setting};

/// How to reach and use MongoDB.
#[derive(Debug, Clone)]
pub struct Mongo {
    /// The connection string, which may hold a password.
    pub uri: Secret,
    /// The database.
    pub database: String,
    /// The collection of messages.
    pub collection: String,
    /// How long one write may wait for a majority.
    pub write_timeout: Duration,
}

impl Mongo {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let uri = reader.secret(&setting::MONGO_URI, parse::mongo_uri);
        let database = reader.read(&setting::MONGO_DB, parse::mongo_db);
        let collection = reader.read(&setting::MONGO_COLLECTION, parse::mongo_collection);
        let write_timeout = reader.read(&setting::MONGO_WRITE_TIMEOUT, |t| parse::millis(t, 100..=600_000));
        Some(Self { uri: uri?, database: database?, collection: collection?, write_timeout: write_timeout? })
    }
}
