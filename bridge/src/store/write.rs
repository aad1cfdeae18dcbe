//! The one write of messages, and what its answer means.

use std::time::Duration;

use mongodb::action::InsertMany;
use mongodb::error::{Error as Driver, ErrorKind, WriteFailure};

use mongodb::bson::doc;
use wiber_model::MessageId;

use super::error::{DUPLICATE_KEY, within};
use super::{Error, MessageDocument, Origin, Store};

/// The last of the rows that a document names.
pub(super) const ORIGIN_LAST: &str = "settles.999";

pub(super) const STORING: &str = "storing messages";

/// How a write ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Every document is in the journals of a majority.
    Done,
    /// Any prefix of the documents may be stored, now or later: only a majority read tells.
    Doubtful(Doubt, Error),
    /// Certainly nothing was written: the same write may be tried again.
    NothingWritten(Error),
}

/// Why an outcome is doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// A document met a unique index: this message is stored, or its place is taken.
    Duplicate,
    /// Written on the primary, but not known to be on a majority.
    WriteConcern,
    /// No answer, a broken connection, or an error in the middle.
    Unknown,
}

impl Doubt {
    /// A stable name for logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::WriteConcern => "write-concern",
            Self::Unknown => "unknown",
        }
    }
}

impl Store {
    /// Inserts the documents in order, stopping at the first that fails, with a journaled majority and a time limit.
    pub async fn insert(&self, documents: &[MessageDocument]) -> Outcome {
        carry_out(self.messages.insert_many(documents), self.write_limit).await
    }

    /// Notes on a stored message that a row's record was met after it, so that the row need not be kept. A repeat changes
    /// nothing.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn add_origin(&self, id: &MessageId, origin: &Origin) -> Result<(), Error> {
        let Origin { source, sequence } = origin;
        let add = doc! { "$addToSet": { "settles": { "source": source, "sequence": *sequence } } };
        // A document must not grow without end, whoever repeats an id; a row that is not noted is only sent again.
        let has_room = doc! { "_id": id.as_str(), ORIGIN_LAST: { "$exists": false } };
        let write = self.messages.update_one(has_room, add);
        within("noting a row on a stored message", self.write_limit, async { write.await }).await.map(drop)
    }
}

/// An insert in order, which stops at the first document that fails.
pub(super) async fn carry_out(insert: InsertMany<'_>, limit: Duration) -> Outcome {
    let insert = insert.ordered(true);
    match tokio::time::timeout(limit, async { insert.await }).await {
        Ok(Ok(_)) => Outcome::Done,
        Ok(Err(source)) => {
            let doubt = classify(&source);
            let error = Error::Failed { step: STORING, source };
            match doubt {
                Some(doubt) => Outcome::Doubtful(doubt, error),
                None => Outcome::NothingWritten(error),
            }
        }
        Err(_) => Outcome::Doubtful(Doubt::Unknown, Error::TimedOut { step: STORING, limit_ms: limit.as_millis() }),
    }
}

/// Each kind of failure by name: `None` if nothing can have been written.
fn classify(error: &Driver) -> Option<Doubt> {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(failure) => {
            let codes = failure.write_errors.iter().flatten().map(|e| e.code);
            Some(doubt_of(codes, failure.write_concern_error.is_some()))
        }
        ErrorKind::Write(WriteFailure::WriteError(e)) => Some(doubt_of([e.code], false)),
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => Some(Doubt::WriteConcern),
        // Nothing was sent.
        ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. }
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::SessionsNotSupported
        | ErrorKind::IncompatibleServer { .. }
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::BsonSerialization(_)
        | ErrorKind::Shutdown => None,
        // Sent, perhaps partly applied; `Command` covers step-downs and interruptions in the middle.
        ErrorKind::Command(_)
        | ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::InvalidResponse { .. }
        | ErrorKind::Bson(_)
        | ErrorKind::BsonDeserialization(_)
        | ErrorKind::Internal { .. } => Some(Doubt::Unknown),
        // Never the answer to an insert, and kinds that the driver may add: the doubtful reading is always safe.
        _ => Some(Doubt::Unknown),
    }
}

fn doubt_of(codes: impl IntoIterator<Item = i32>, write_concern_failed: bool) -> Doubt {
    let mut codes = codes.into_iter().peekable();
    let duplicate = codes.peek().is_some() && codes.all(|c| c == DUPLICATE_KEY);
    match (duplicate, write_concern_failed) {
        (true, _) => Doubt::Duplicate,
        (false, true) => Doubt::WriteConcern,
        (false, false) => Doubt::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_classified_by_name() {
        assert_eq!(doubt_of([DUPLICATE_KEY], false), Doubt::Duplicate);
        assert_eq!(doubt_of([DUPLICATE_KEY, 121], false), Doubt::Unknown);
        assert_eq!(doubt_of([], true), Doubt::WriteConcern);
        assert_eq!(doubt_of([], false), Doubt::Unknown);
        let broken = Driver::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(classify(&broken), Some(Doubt::Unknown));
    }
}
