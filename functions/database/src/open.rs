//! Opening the outbox: a 200 is only given on a database that keeps its promise, so the promise is checked here.

use std::cell::Cell;

use crate::journal::wal_is_safe;
use crate::schema::{self, Identity};
use crate::{Connection, Error, JournalSetting, Value};

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
/// alone.
const CHECKED_OFTEN_BYTES_MAX: i64 = 2 * 1024 * 1024;
/// How long a check that was noted counts, in milliseconds: where instances come and go, one a second is enough.
const CHECK_COUNTS_MS: i64 = 1_000;

/// An open outbox: a connection that was judged, used by one task at a time.
pub struct Database<C> {
    connection: C,
    outbox_id: String,
    journal: String,
    note: Option<String>,
    /// How large the file was.
    bytes: i64,
    /// When its structure was last found well, Unix milliseconds.
    checked_ms: i64,
    /// What the outbox's clock showed when it was opened, until that was used.
    pub(crate) clock_ms: Cell<Option<i64>>,
    opened_ms: u64,
    /// Whether the host may be able to wait for a commit.
    pub(crate) host_waits: Cell<bool>,
}

/// How a new connection finds file and SQLite set.
struct Setup {
    /// SQLite's.
    version: String,
    journal: String,
    synchronous: i64,
    /// The schema's version.
    schema: i64,
}

impl<C: Connection> Database<C> {
    fn new(connection: C) -> Self {
        let opened_ms = connection.monotonic_ms();
        Self {
            connection,
            outbox_id: String::new(),
            journal: String::new(),
            note: None,
            bytes: 0,
            checked_ms: 0,
            clock_ms: Cell::new(None),
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
        this.run(&format!("PRAGMA busy_timeout={ROLLBACK_WAIT_MS}"), &[]).await?;
        // Not left at its default, which may be another in WAL mode.
        this.run("PRAGMA synchronous=FULL", &[]).await?;
        let mut found = this.look().await?;
        this.set_journal(setting, &found).await?;
        if this.is_wal() {
            this.run("PRAGMA busy_timeout=0", &[]).await?;
        }
        if this.is_wal() != (found.journal == "wal") {
            // That may have taken seconds.
            found = this.look().await?;
        }
        let Setup { synchronous, schema, .. } = found;
        if synchronous != 2 {
            return Err(Error::NotDurable(format!("synchronous reads back as {synchronous} instead of 2 (FULL)")));
        }
        if cfg!(feature = "mutant-synchronous-normal") {
            this.run("PRAGMA synchronous=NORMAL", &[]).await?;
        }
        schema::migrate(&this, schema).await?;
        this.identify().await?;
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
        let Setup { version, journal, schema, .. } = this.look().await?;
        // Which rollback journal is used is not in the file: it is what writers set.
        this.journal = if journal == "wal" { journal } else { setting.mode(&version).to_owned() };
        if this.is_wal() && setting.mode(&version) != "wal" {
            return Err(Error::NotDurable(format!("the file is in WAL mode, which is not safe on SQLite {version}")));
        }
        if schema::is_made(schema)? {
            this.identify().await?;
        }
        this.note_unsafe_wal(&version);
        Ok(this)
    }

    /// Checks the file's structure, and says whether it did: not where it is so large that this would hold up the first
    /// request, nor where it was noted within the last second that one was found well.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the first thing that is wrong; whatever SQLite says.
    pub async fn check(&self, now_ms: i64) -> Result<bool, Error> {
        let most = if self.is_wal() { CHECKED_BYTES_MAX } else { CHECKED_OFTEN_BYTES_MAX };
        let noted = self.checked_ms..self.checked_ms.saturating_add(CHECK_COUNTS_MS);
        if self.bytes > most || noted.contains(&now_ms) {
            return Ok(false);
        }
        let found = self.one("PRAGMA quick_check(1)", &[]).await?.into_text();
        if found == "ok" { Ok(true) } else { Err(Error::Damaged(found)) }
    }

    /// Notes that its structure was found well, where that is asked often: with a rollback journal.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn note_checked(&self, now_ms: i64) -> Result<(), Error> {
        const SQL: &str =
            "INSERT INTO meta VALUES ('checked', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        if self.is_wal() {
            return Ok(());
        }
        self.run(SQL, &[now_ms.to_string().into()]).await.map(drop)
    }

    /// Before anything is accepted: in WAL mode makes durable whatever the file shows. A process that was killed between a
    /// write and its fsync, or that ended since its fsync failed, leaves rows that only the kernel's cache may hold.
    ///
    /// That takes more than an fsync of the log, which after a failed one may skip the pages that failed: all is copied into
    /// the database, and the log begins anew, so that no later commit stands behind a page that is not there (see `PRAGMA
    /// wal_checkpoint` of SQLite). With a rollback journal, which every commit begins anew and syncs at its end, there is
    /// nothing to do; see [`Self::make_found_durable`].
    ///
    /// # Errors
    /// [`Error::NotDurable`] if a reader keeps the log from being written back; whatever SQLite says.
    pub async fn make_log_durable(&self) -> Result<(), Error> {
        if !self.is_wal() {
            return Ok(());
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

    /// Before a repeated request is answered with what was found: with a rollback journal makes that durable, by a commit.
    /// In WAL mode it has been since [`Self::make_log_durable`].
    ///
    /// # Errors
    /// [`Error::Unknown`], since what was found may be durable all the same.
    pub async fn make_found_durable(&self) -> Result<(), Error> {
        if self.is_wal() {
            return Ok(());
        }
        self.probe().await.map_err(|error| Error::Unknown(error.to_string()))
    }

    fn is_wal(&self) -> bool {
        self.journal == "wal"
    }

    async fn identify(&mut self) -> Result<(), Error> {
        let Identity { outbox_id, clock_ms, checked_ms } = schema::identity(self).await?;
        self.outbox_id = outbox_id;
        self.checked_ms = checked_ms;
        self.clock_ms.set(Some(clock_ms));
        Ok(())
    }

    /// What the connection meets, in one statement: on Spin each costs a change of threads, and instances open often.
    async fn look(&mut self) -> Result<Setup, Error> {
        const SQL: &str = "SELECT sqlite_version(), (SELECT journal_mode FROM pragma_journal_mode),
            (SELECT synchronous FROM pragma_synchronous), (SELECT user_version FROM pragma_user_version),
            (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size),
            (SELECT file FROM pragma_database_list WHERE name = 'main')";
        let row = self.run(SQL, &[]).await?.into_iter().next().unwrap_or_default();
        let Ok([version, journal, synchronous, schema, bytes, file]) = <[Value; 6]>::try_from(row) else {
            return Err(Error::Unavailable("SQLite does not tell how the outbox is set".into()));
        };
        if file.into_text().is_empty() {
            return Err(Error::NotDurable("the database is in memory; give it a path in runtime-config.toml".into()));
        }
        self.bytes = bytes.integer();
        let (version, journal) = (version.into_text(), journal.into_text());
        Ok(Setup { version, journal, synchronous: synchronous.integer(), schema: schema.integer() })
    }

    async fn set_journal(&mut self, setting: JournalSetting, found: &Setup) -> Result<(), Error> {
        let version = &found.version;
        let wanted = setting.mode(version);
        self.journal.clone_from(&found.journal);
        if self.journal != wanted {
            // Leaving or entering WAL needs the file alone, so another process that has it open keeps its mode.
            match self.one(&format!("PRAGMA journal_mode={wanted}"), &[]).await {
                Ok(mode) => self.journal = mode.into_text(),
                Err(Error::Busy) => {}
                Err(other) => return Err(other),
            }
        }
        if self.journal != wanted {
            let journal = &self.journal;
            return Err(Error::NotDurable(format!(
                "the file is in journal mode {journal}, which SQLite {version} may not use here, and another process keeps it open"
            )));
        }
        self.note_unsafe_wal(version);
        Ok(())
    }

    fn note_unsafe_wal(&mut self, version: &str) {
        if self.is_wal() && !wal_is_safe(version) {
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
