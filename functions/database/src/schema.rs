//! The schema, as versioned migrations. Each statement is whole by itself and may run twice, since several instances
//! may open a new file at once and any of them may be killed between two statements; `user_version` is set last.

use crate::{Connection, Database, Error, Value};

/// The version that this program makes and reads.
pub(crate) const VERSION: i64 = 2;
/// The lowest version that has all that readers use: they do not wait for a writer to migrate it.
const READABLE: i64 = 1;

const MIGRATIONS: [&[&str]; VERSION as usize] = [FIRST, TENURE];

const FIRST: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "INSERT OR IGNORE INTO meta VALUES ('outbox_id', lower(hex(randomblob(16))))",
    // state: 0 accepted, 1 published. AUTOINCREMENT, since a position that was reused could settle another row.
    "CREATE TABLE IF NOT EXISTS outbox (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id TEXT NOT NULL,
        message TEXT NOT NULL,
        request_id TEXT NOT NULL,
        traceparent TEXT NOT NULL,
        accepted_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        partition INTEGER,
        log_offset INTEGER,
        published_at INTEGER,
        key_user TEXT,
        key TEXT
    )",
    "CREATE UNIQUE INDEX IF NOT EXISTS outbox_message_id ON outbox (message_id)",
    "CREATE INDEX IF NOT EXISTS outbox_state ON outbox (state, position)",
    "CREATE TABLE IF NOT EXISTS idempotency (
        id INTEGER PRIMARY KEY,
        user TEXT NOT NULL,
        key TEXT NOT NULL,
        message TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        born_running_ms INTEGER NOT NULL
    )",
    "CREATE UNIQUE INDEX IF NOT EXISTS idempotency_key ON idempotency (user, key)",
    "CREATE INDEX IF NOT EXISTS idempotency_born ON idempotency (born_running_ms)",
    // Counters, so that no bound and no metric needs a scan.
    "CREATE TABLE IF NOT EXISTS counters (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        messages INTEGER NOT NULL,
        keys INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    )",
    "INSERT OR IGNORE INTO counters VALUES (1, 0, 0, 0)",
    "CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY CHECK (id = 1), holder TEXT NOT NULL, expires_at INTEGER NOT NULL)",
    // How long this outbox has been running, in steps of at most a minute: a clock that jumps ages no key.
    "CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id = 1), running_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO clock VALUES (1, 0, 0)",
    // A row whose key is taken is left out, and its sender looks the key up.
    "CREATE TRIGGER IF NOT EXISTS outbox_key_taken BEFORE INSERT ON outbox
        WHEN NEW.key IS NOT NULL AND EXISTS (SELECT 1 FROM idempotency WHERE user = NEW.key_user AND key = NEW.key)
        BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER IF NOT EXISTS outbox_counted AFTER INSERT ON outbox
        BEGIN UPDATE counters SET messages = messages + 1, bytes = bytes + NEW.bytes; END",
    "CREATE TRIGGER IF NOT EXISTS outbox_key_recorded AFTER INSERT ON outbox WHEN NEW.key IS NOT NULL
        BEGIN INSERT INTO idempotency (user, key, message, bytes, born_running_ms)
              VALUES (NEW.key_user, NEW.key, NEW.message, NEW.bytes, (SELECT running_ms FROM clock)); END",
    "CREATE TRIGGER IF NOT EXISTS outbox_freed AFTER DELETE ON outbox
        BEGIN UPDATE counters SET messages = messages - 1, bytes = bytes - OLD.bytes; END",
    "CREATE TRIGGER IF NOT EXISTS key_counted AFTER INSERT ON idempotency
        BEGIN UPDATE counters SET keys = keys + 1, bytes = bytes + NEW.bytes; END",
    "CREATE TRIGGER IF NOT EXISTS key_freed AFTER DELETE ON idempotency
        BEGIN UPDATE counters SET keys = keys - 1, bytes = bytes - OLD.bytes; END",
    "PRAGMA user_version=1",
];

// Counts how often the lease went to another holder. Before the change, so that the statement that grants it returns it.
const TENURE: &[&str] = &[
    "INSERT OR IGNORE INTO meta VALUES ('tenure', '0')",
    "CREATE TRIGGER IF NOT EXISTS lease_begun BEFORE INSERT ON lease WHEN NOT EXISTS (SELECT 1 FROM lease)
        BEGIN UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'tenure'; END",
    "CREATE TRIGGER IF NOT EXISTS lease_taken_over BEFORE UPDATE OF holder ON lease WHEN OLD.holder <> NEW.holder
        BEGIN UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'tenure'; END",
    "PRAGMA user_version=2",
];

/// Makes the schema, or brings one of version `present` up to date.
pub(crate) async fn migrate<C: Connection>(database: &Database<C>, present: i64) -> Result<(), Error> {
    let present = known(present)?;
    for statement in MIGRATIONS.iter().skip(usize::try_from(present).unwrap_or(0)).flat_map(|m| m.iter()) {
        database.run(statement, &[]).await?;
    }
    Ok(())
}

/// Whether a writer has made the schema yet.
pub(crate) fn is_made(present: i64) -> Result<bool, Error> {
    Ok(known(present)? >= READABLE)
}

/// What an outbox says of itself, in one statement.
pub(crate) struct Identity {
    /// The random id that it got when it was made.
    pub(crate) outbox_id: String,
    /// When its running time was last written down, Unix milliseconds (see `expire`).
    pub(crate) clock_ms: i64,
    /// When its structure was last found well, Unix milliseconds; 0 if that was not noted.
    pub(crate) checked_ms: i64,
}

/// What the outbox says of itself.
pub(crate) async fn identity<C: Connection>(database: &Database<C>) -> Result<Identity, Error> {
    const SQL: &str = "SELECT value, (SELECT wall_ms FROM clock),
        (SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'checked') FROM meta WHERE name = 'outbox_id'";
    let row = database.run(SQL, &[]).await?.into_iter().next().unwrap_or_default();
    let [outbox_id, clock, checked] =
        <[Value; 3]>::try_from(row).map_err(|_| Error::Damaged("the outbox has no id".into()))?;
    Ok(Identity { outbox_id: outbox_id.into_text(), clock_ms: clock.integer(), checked_ms: checked.integer() })
}

fn known(present: i64) -> Result<i64, Error> {
    if present > VERSION {
        let detail =
            format!("its schema has version {present} and this program knows {VERSION}; run the newer program");
        return Err(Error::Unavailable(detail));
    }
    Ok(present)
}
