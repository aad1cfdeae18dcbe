//! Connections to the outbox, kept while the instance is warm.

use spin_sdk::variables;
use wiber_database::spin::Spin;
use wiber_database::{Bounds, Database, Error, JournalSetting, Pool, Source};
use wiber_handlers::{Settings, SettingsError};

/// The instance's connections, of one kind.
pub struct Connections {
    pool: Pool<Spin>,
    read_only: bool,
}

impl Connections {
    /// Connections that may write.
    #[must_use]
    pub const fn writing() -> Self {
        Self { pool: Pool::new(), read_only: false }
    }

    /// Connections on which a write is an error.
    #[must_use]
    pub const fn read_only() -> Self {
        Self { pool: Pool::new(), read_only: true }
    }
}

impl Source for Connections {
    type Connection = Spin;

    async fn take(&self) -> Result<Database<Spin>, Error> {
        if let Some(database) = self.pool.take() {
            return Ok(database);
        }
        let journal = journal().await?;
        let connection = Spin::open().await?;
        if self.read_only {
            Database::open_read_only(connection, journal).await
        } else {
            Database::open(connection, journal).await
        }
    }

    fn put(&self, database: Database<Spin>) {
        self.pool.put(database);
    }
}

/// The outbox's bounds; without usable settings nothing fits, and no handler gets that far.
#[must_use]
pub fn bounds(settings: &Result<Settings, SettingsError>) -> Bounds {
    let limits = settings.as_ref().ok().map(|s| (s.outbox_rows_max, s.outbox_bytes_max));
    let (rows_max, bytes_max) = limits.unwrap_or_default();
    Bounds { rows_max, bytes_max }
}

/// The setting `outbox_journal`.
///
/// # Errors
/// If it has an unknown value.
async fn journal() -> Result<JournalSetting, Error> {
    let value = match variables::get("outbox_journal").await {
        Ok(value) => value,
        Err(variables::Error::Undefined(_)) => return Ok(JournalSetting::Auto),
        Err(other) => return Err(Error::NotDurable(format!("variable outbox_journal cannot be read: {other}"))),
    };
    JournalSetting::parse(&value).ok_or_else(|| {
        Error::NotDurable(format!("variable outbox_journal is {value:?}; it must be auto, wal or truncate"))
    })
}

/// Writes an error with all its details to the log; the caller's answer gets [`Error::public`].
pub fn report(error: &Error) {
    eprintln!("{}", serde_json::json!({ "message": "the outbox failed", "error": error.to_string() }));
}
