//! What SQLite's texts mean. Spin passes nothing but a text, so it is read here and nowhere else.

/// Why the outbox could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another connection held the lock for too long; nothing was written.
    #[error("the outbox database stayed locked by another connection")]
    Busy,
    /// The disk or quota is full; nothing was written.
    #[error("the disk that holds the outbox is full")]
    DiskFull,
    /// A 200 would promise more than this database can keep; nothing was written.
    #[error("the outbox is not durable: {0}")]
    NotDurable(String),
    /// The file is not (any more) the database it should be; nothing was written.
    #[error("the outbox database is damaged: {0}")]
    Damaged(String),
    /// The component may not open the database, or it is not configured.
    #[error("the outbox database cannot be opened: {0}")]
    Unavailable(String),
    /// The statement failed at a point where it may have taken effect.
    #[error("the outcome of a write to the outbox is unknown: {0}")]
    Unknown(String),
}

impl Error {
    /// Reads SQLite's text.
    #[must_use]
    pub fn classify(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let has = |part: &str| lower.contains(part);
        if has("database is locked") || has("database table is locked") || has("database schema is locked") {
            Self::Busy
        } else if has("database or disk is full") {
            Self::DiskFull
        } else if has("malformed") || has("not a database") || has("file is encrypted") {
            Self::Damaged(text.to_owned())
        } else if has("readonly database") || has("read-only") {
            Self::NotDurable("the database file is read-only".to_owned())
        } else if has("unable to open")
            || has("access denied")
            || has("no such database")
            || has("too many connections")
        {
            Self::Unavailable(text.to_owned())
        } else {
            Self::Unknown(text.to_owned())
        }
    }

    /// The reason as a caller may see it: nothing of SQLite's own text, which can name paths.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Damaged(_) => "the outbox database is damaged; see the host's log".to_owned(),
            Self::Unavailable(_) => "the outbox database cannot be opened; see the host's log".to_owned(),
            Self::Unknown(_) => "a write to the outbox failed; see the host's log".to_owned(),
            Self::Busy | Self::DiskFull | Self::NotDurable(_) => self.to_string(),
        }
    }

    pub(crate) fn is_unknown_function(&self) -> bool {
        matches!(self, Self::Unknown(text) if text.contains("no such function"))
    }

    /// Whether it is certain that the failed statement changed nothing.
    #[must_use]
    pub fn nothing_written(&self) -> bool {
        match self {
            Self::Busy | Self::DiskFull | Self::NotDurable(_) | Self::Damaged(_) | Self::Unavailable(_) => true,
            Self::Unknown(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn texts_are_read_by_their_meaning() {
        assert_eq!(Error::classify("database is locked"), Error::Busy);
        assert_eq!(Error::classify("database or disk is full"), Error::DiskFull);
        assert!(matches!(Error::classify("database disk image is malformed"), Error::Damaged(_)));
        assert!(matches!(Error::classify("file is not a database"), Error::Damaged(_)));
        assert!(matches!(Error::classify("attempt to write a readonly database"), Error::NotDurable(_)));
        assert!(matches!(Error::classify("unable to open database file: /x"), Error::Unavailable(_)));
        assert!(matches!(Error::classify("disk I/O error"), Error::Unknown(_)));
        assert!(!Error::classify("disk I/O error").nothing_written());
    }
}
