//! Opening the outbox: a 200 is only given on a database that keeps its promise, so the promise is checked here.

use std::cell::Cell;

use crate::{Connection, Error, Value, schema};

/// Longest that one statement waits for other connections' locks.
const BUSY_MS_MAX: u64 = 5_000;
/// Pause between two tries. SQLite's own busy wait would block every request of the instance, and sleeps far longer
/// than a commit takes.
const BUSY_PAUSE_MICROS: u64 = 300;
/// Pause between two tries to write the whole log back, which any reader prevents.
const READER_PAUSE_MICROS: u64 = 10_000;
/// SQLite's own wait where the journal is a rollback journal, milliseconds. A writer that commits there must outwait the
/// readers, and only while it waits inside SQLite are new readers kept out (the PENDING lock); without it a few readers
/// that poll can starve every writer.
const ROLLBACK_WAIT_MS: u64 = 10;

/// Largest file whose structure is checked, in bytes: 20 ms from memory.
const CHECKED_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// The same where the journal is a rollback journal, 2 ms: Spin makes an instance for nearly each request that comes
/// alone, and each one checks.
const CHECKED_OFTEN_BYTES_MAX: i64 = 2 * 1024 * 1024;

/// The setting `outbox_journal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalSetting {
    /// WAL where this SQLite has the WAL-reset fix, else TRUNCATE.
    #[default]
    Auto,
    /// WAL in any case; readiness says so where the fix is missing.
    Wal,
    /// TRUNCATE in any case.
    Truncate,
}

impl JournalSetting {
    /// Reads the setting.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "wal" => Some(Self::Wal),
            "truncate" => Some(Self::Truncate),
            _ => None,
        }
    }

    fn mode(self, version: &str) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Truncate => "truncate",
            Self::Auto if wal_is_safe(version) => "wal",
            Self::Auto => "truncate",
        }
    }
}

/// Whether this SQLite has the fix for the WAL-reset bug, with which two connections that write and checkpoint at once
/// could lose committed rows: 3.51.3, 3.50.7, 3.44.6, and later ones of those lines.
#[must_use]
pub(crate) fn wal_is_safe(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    match (next(), next(), next()) {
        (3, 44, patch) => patch >= 6,
        (3, 50, patch) => patch >= 7,
        (3, 51, patch) => patch >= 3,
        (3, minor, _) => minor > 51,
        (major, ..) => major > 3,
    }
}

/// An open outbox: a connection that was judged, used by one task at a time.
pub struct Database<C> {
    connection: C,
    outbox_id: String,
    journal: String,
    note: Option<String>,
    opened_ms: u64,
    /// Whether the host may be able to wait for a commit.
    pub(crate) host_waits: Cell<bool>,
}

impl<C: Connection> Database<C> {
    fn new(connection: C) -> Self {
        let opened_ms = connection.monotonic_ms();
        Self {
            connection,
            outbox_id: String::new(),
            journal: String::new(),
            note: None,
            opened_ms,
            host_waits: Cell::new(true),
        }
    }

    /// Opens the outbox for writing: `synchronous=FULL`, the journal mode that is safe on this SQLite, the schema made
    /// or brought up to date.
    ///
    /// # Errors
    /// [`Error::NotDurable`] unless the database is a file and both settings read back; whatever SQLite says.
    pub async fn open(connection: C, setting: JournalSetting) -> Result<Self, Error> {
        let mut this = Self::new(connection);
        this.run("PRAGMA busy_timeout=0", &[]).await?;
        this.require_file().await?;
        this.set_journal(setting).await?;
        this.run("PRAGMA synchronous=FULL", &[]).await?;
        let synchronous = this.one("PRAGMA synchronous", &[]).await?.integer();
        if cfg!(feature = "mutant-synchronous-normal") {
            this.run("PRAGMA synchronous=NORMAL", &[]).await?;
        }
        if synchronous != 2 {
            return Err(Error::NotDurable(format!("synchronous reads back as {synchronous} instead of 2 (FULL)")));
        }
        if this.journal != "wal" {
            this.run(&format!("PRAGMA busy_timeout={ROLLBACK_WAIT_MS}"), &[]).await?;
        }
        schema::migrate(&this).await?;
        this.outbox_id = schema::outbox_id(&this).await?;
        Ok(this)
    }

    /// Opens the outbox for reading only: `query_only=ON`, so that this connection can never write.
    ///
    /// # Errors
    /// [`Error::NotDurable`] where no writer could promise durability either; whatever SQLite says.
    pub async fn open_read_only(connection: C, setting: JournalSetting) -> Result<Self, Error> {
        let mut this = Self::new(connection);
        this.run("PRAGMA query_only=ON", &[]).await?;
        this.run("PRAGMA busy_timeout=0", &[]).await?;
        this.require_file().await?;
        this.journal = this.one("PRAGMA journal_mode", &[]).await?.into_text();
        let version = this.one("SELECT sqlite_version()", &[]).await?.into_text();
        if this.journal != "wal" {
            // Which rollback journal is used is not in the file: it is what writers set.
            setting.mode(&version).clone_into(&mut this.journal);
        } else if setting.mode(&version) != "wal" {
            return Err(Error::NotDurable(format!("the file is in WAL mode, which is not safe on SQLite {version}")));
        }
        this.outbox_id = if schema::is_made(&this).await? { schema::outbox_id(&this).await? } else { String::new() };
        this.note_unsafe_wal(&version);
        Ok(this)
    }

    /// Checks the file's structure, unless it is so large that this would hold up the first request.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the first thing that is wrong; whatever SQLite says.
    pub async fn check(&self) -> Result<(), Error> {
        let most = if self.journal == "wal" { CHECKED_BYTES_MAX } else { CHECKED_OFTEN_BYTES_MAX };
        const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        if self.one(SIZE, &[]).await?.integer() > most {
            return Ok(());
        }
        let found = self.one("PRAGMA quick_check(1)", &[]).await?.into_text();
        if found == "ok" { Ok(()) } else { Err(Error::Damaged(found)) }
    }

    /// Makes durable whatever the file shows. A process that was killed between a write and its fsync, or that ended
    /// since its fsync failed, leaves rows that only the kernel's cache may hold: before a repeated request is answered
    /// with one of them, they must be on the disk.
    ///
    /// In WAL mode that takes more than an fsync of the log, which after a failed one may skip the pages that failed: all
    /// is copied into the database, and the log begins anew, so that no later commit stands behind a page that is not
    /// there (see `PRAGMA wal_checkpoint` of SQLite). With a rollback journal it takes a commit, whose end is synced.
    ///
    /// # Errors
    /// [`Error::NotDurable`] if a reader keeps the log from being written back; whatever SQLite says.
    pub async fn make_durable(&self) -> Result<(), Error> {
        if self.journal != "wal" {
            return self.probe().await;
        }
        let deadline = self.connection.monotonic_ms() + BUSY_MS_MAX;
        while self.one("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await?.integer() != 0 {
            if self.connection.monotonic_ms() >= deadline {
                let reason = "another program keeps reading the outbox file, so its log cannot be written back; end it";
                return Err(Error::NotDurable(reason.to_owned()));
            }
            self.connection.pause(READER_PAUSE_MICROS).await;
        }
        Ok(())
    }

    async fn require_file(&self) -> Result<(), Error> {
        let rows = self.run("PRAGMA database_list", &[]).await?;
        let is_file = rows.into_iter().any(|mut row| {
            let file = row.pop().map(Value::into_text).unwrap_or_default();
            row.pop().map(Value::into_text).as_deref() == Some("main") && !file.is_empty()
        });
        if is_file {
            Ok(())
        } else {
            Err(Error::NotDurable("the database is in memory; give it a path in runtime-config.toml".into()))
        }
    }

    async fn set_journal(&mut self, setting: JournalSetting) -> Result<(), Error> {
        let version = self.one("SELECT sqlite_version()", &[]).await?.into_text();
        let wanted = setting.mode(&version);
        let present = self.one("PRAGMA journal_mode", &[]).await?.into_text();
        if present == wanted {
            self.journal = present;
        } else {
            // Leaving or entering WAL needs the file alone, so another process that has it open keeps its mode.
            let result = self.one(&format!("PRAGMA journal_mode={wanted}"), &[]).await;
            self.journal = match result {
                Ok(mode) => mode.into_text(),
                Err(Error::Busy) => present,
                Err(other) => return Err(other),
            };
        }
        if self.journal != wanted {
            let journal = &self.journal;
            return Err(Error::NotDurable(format!(
                "the file is in journal mode {journal}, which SQLite {version} may not use here, and another process keeps it open"
            )));
        }
        self.note_unsafe_wal(&version);
        Ok(())
    }

    fn note_unsafe_wal(&mut self, version: &str) {
        if self.journal == "wal" && !wal_is_safe(version) {
            self.note =
                Some(format!("the outbox is forced into WAL mode on SQLite {version}, which lacks the WAL-reset fix"));
        }
    }

    /// The random id that the file got when it was made; empty where a reader finds a file without schema.
    #[must_use]
    pub fn outbox_id(&self) -> &str {
        &self.outbox_id
    }

    /// The journal mode in force.
    #[must_use]
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// What an operator should know about how the outbox is opened.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Milliseconds of a clock that never jumps.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.connection.monotonic_ms()
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &C {
        &self.connection
    }

    /// Milliseconds since it was opened.
    #[must_use]
    pub fn age_ms(&self) -> u64 {
        self.connection.monotonic_ms().saturating_sub(self.opened_ms)
    }

    /// Commits something small, to learn whether a message could be accepted now.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), Error> {
        // Another value each time: SQLite writes no page that stays as it is.
        const SQL: &str = "INSERT INTO meta VALUES ('probe', lower(hex(randomblob(8))))
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.run(SQL, &[]).await.map(drop)
    }

    /// Waits outside SQLite.
    pub(crate) async fn pause(&self, micros: u64) {
        self.connection.pause(micros).await;
    }

    pub(crate) async fn changes(&self) -> u64 {
        self.connection.changes().await
    }

    /// Runs one statement; one that finds the database locked is tried again, since nothing happened yet.
    pub(crate) async fn run(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
        let deadline = self.connection.monotonic_ms() + BUSY_MS_MAX;
        loop {
            let error = match self.connection.execute(sql, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(text) => Error::classify(&text),
            };
            if error != Error::Busy || self.connection.monotonic_ms() >= deadline {
                return Err(error);
            }
            self.connection.pause(BUSY_PAUSE_MICROS).await;
        }
    }

    /// The first column of the first row, NULL if there is none.
    pub(crate) async fn one(&self, sql: &str, parameters: &[Value]) -> Result<Value, Error> {
        let rows = self.run(sql, parameters).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::{JournalSetting, wal_is_safe};

    #[test]
    fn wal_only_where_the_reset_bug_is_fixed() {
        for version in ["3.7.0", "3.44.5", "3.45.3", "3.49.1", "3.50.6", "3.51.2", "", "x"] {
            assert!(!wal_is_safe(version), "{version}");
        }
        for version in ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "3.54.1", "4.0.0"] {
            assert!(wal_is_safe(version), "{version}");
        }
        assert_eq!(JournalSetting::Auto.mode("3.49.1"), "truncate");
        assert_eq!(JournalSetting::Wal.mode("3.49.1"), "wal");
    }
}
