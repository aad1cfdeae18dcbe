//! Connections to the outbox, kept while the instance is warm.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use spin_sdk::variables;
use wiber_database::spin::Spin;
use wiber_database::{Bounds, Database, Error, JournalSetting, Pool, Source};
use wiber_handlers::status::Condition;
use wiber_handlers::{Entropy, Settings, SettingsError};

use crate::System;

/// How long the outbox may take to say how it is: below the 3 s within which readiness answers.
pub const CONDITION_LIMIT: Duration = Duration::from_millis(2_200);
/// Age from which a connection is not used again, milliseconds: within a second it shows that the file was removed, so that
/// nothing is accepted into nothing.
const AGE_MS_MAX: u64 = 1_000;
/// The same for draining, where it costs more than it saves: the bridge asks all the time, and a read may last 10 s anyway.
const AGE_DRAINING_MS_MAX: u64 = 5_000;

/// The instance's connections, of one kind.
pub struct Connections {
    pool: Pool<Spin>,
    purpose: Purpose,
}

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Accepting: what is found may be answered to a sender, once it is durable.
    Accept,
    /// Draining: what is found is sent on, and may be sent again.
    Drain,
    /// Reading.
    Read,
}

impl Connections {
    /// Connections for accepting. Whoever answers with what was found there calls [`Database::make_found_durable`] first.
    #[must_use]
    pub const fn accepting() -> Self {
        Self { pool: Pool::new(AGE_MS_MAX), purpose: Purpose::Accept }
    }

    /// Connections for draining. They open where nothing more can be written too, so that the bridge can tell of that.
    #[must_use]
    pub const fn draining() -> Self {
        Self { pool: Pool::new(AGE_DRAINING_MS_MAX), purpose: Purpose::Drain }
    }

    /// Connections on which a write is an error.
    #[must_use]
    pub const fn read_only() -> Self {
        Self { pool: Pool::new(AGE_MS_MAX), purpose: Purpose::Read }
    }
}

impl Connections {
    async fn open(&self) -> Result<Database<Spin>, Error> {
        let journal = journal().await?;
        let connection = Spin::open().await?;
        if self.purpose == Purpose::Read {
            return Database::open_read_only(connection, journal).await;
        }
        let database = Database::open(connection, journal).await?;
        if self.pool.is_unused() {
            let now_ms = System.now_ms();
            let was_checked = database.check(now_ms).await?;
            if self.purpose == Purpose::Accept {
                if was_checked {
                    database.note_checked(now_ms).await?;
                }
                database.make_log_durable().await?;
            }
        }
        Ok(database)
    }
}

impl Source for Connections {
    type Connection = Spin;

    async fn take(&self) -> Result<Database<Spin>, Error> {
        self.pool.take(async || self.open().await).await
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

/// How the outbox is, as far as reading tells.
///
/// # Errors
/// Whatever SQLite says.
pub async fn condition(database: &Database<Spin>, bounds: Bounds) -> Result<Condition, Error> {
    Ok(Condition {
        outbox_id: database.outbox_id().to_owned(),
        full: database.depth().await?.is_full(bounds),
        journal: database.journal().to_owned(),
        note: database.note().map(str::to_owned),
    })
}

/// Gives `work` so long: neither a disk that hangs nor a writer that holds the lock may hold up an answer.
///
/// # Errors
/// Those of `work`, and [`Error::NotDurable`] when the time is over.
pub async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match select(pin!(work), pin!(spin_sdk::time::sleep(limit))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::NotDurable(format!("it did not answer within {} ms", limit.as_millis()))),
    }
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
