//! What can go wrong between the bridge and MongoDB.

use std::future::Future;
use std::time::Duration;

use mongodb::error::{ErrorKind, WriteFailure};

/// What MongoDB says where a unique index holds the key already.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// A failed step. None of them says that a write did not happen: see [`super::Outcome`] for that.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The connection string is malformed, or its SRV record cannot be resolved.
    #[error("MONGO_URI cannot be used")]
    Uri(#[source] mongodb::error::Error),
    /// The server belongs to no replica set.
    #[error(
        "MONGO_URI leads to {host}, which is not a member of a replica set; a standalone server can lose acknowledged \
         writes: start mongod with --replSet and initiate the set once"
    )]
    NotReplicaSet {
        /// Who answered.
        host: String,
    },
    /// The server answered with an error, or none could be reached.
    #[error("{step} in MongoDB failed")]
    Failed {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: mongodb::error::Error,
    },
    /// No answer came in time.
    #[error("{step} in MongoDB took longer than {limit_ms} ms")]
    TimedOut {
        /// What was tried.
        step: &'static str,
        /// The limit, milliseconds.
        limit_ms: u128,
    },
    /// Whoever had taken it along ended before the answer.
    #[error("{step} in MongoDB was begun together with others and not waited for")]
    Abandoned {
        /// What was tried.
        step: &'static str,
    },
    /// A document is not what this program writes.
    #[error("a document of {collection} has another shape than this program writes: {detail}")]
    Shape {
        /// Where.
        collection: &'static str,
        /// What differs.
        detail: String,
    },
}

impl Error {
    /// Whether another document has a key that one of its kind must have alone.
    pub(super) fn is_duplicate_key(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if is_duplicate(source))
    }

    pub(super) fn failed(step: &'static str) -> impl FnOnce(mongodb::error::Error) -> Self {
        move |source| Self::Failed { step, source }
    }
}

/// Whether a write failed at a unique index.
pub(super) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Runs one step under a limit that holds even when the server says nothing at all.
pub(super) async fn within<T>(
    step: &'static str,
    limit: Duration,
    work: impl Future<Output = mongodb::error::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(Error::failed(step)),
        Err(_) => Err(Error::TimedOut { step, limit_ms: limit.as_millis() }),
    }
}
