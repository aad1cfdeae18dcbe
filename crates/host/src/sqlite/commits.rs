//! Waiting for a commit. A component that looks for one with `PRAGMA data_version` now and then is woken for each look, and
//! on caches gone cold a look costs 0.4 ms. Here the connection's thread waits instead, and the component is woken once.
//!
//! Every connection has the function `next_data_version(seen, wait_ms, look_us)`, which Spin has not: it returns what
//! `PRAGMA data_version` says once that is not `seen`, or after `wait_ms` milliseconds. A commit of this process is
//! noticed at once, another's after `look_us` microseconds.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection as Sqlite;
use rusqlite::functions::{Context, FunctionFlags};

/// Most that one call waits: a connection that nobody wants any more keeps its thread for so long.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Counts the commits of this process to one database. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commits(Arc<(Mutex<u64>, Condvar)>);

impl Commits {
    /// To be called after a commit.
    pub(super) fn announce(&self) {
        let (count, changed) = &*self.0;
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        changed.notify_all();
    }

    pub(super) fn count(&self) -> u64 {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the count is `seen`, at most for `limit`.
    fn wait(&self, seen: u64, limit: Duration) {
        let (count, changed) = &*self.0;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        // Too early for any reason is right too: the caller looks again.
        drop(changed.wait_timeout_while(count, limit, |count| *count == seen));
    }

    /// Gives `connection` the function.
    pub(super) fn offer(&self, connection: &Sqlite) -> rusqlite::Result<()> {
        let commits = self.clone();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function("next_data_version", 3, flags, move |context| commits.next(context))
    }

    fn next(&self, context: &Context<'_>) -> rusqlite::Result<i64> {
        let (seen, wait, look): (i64, u32, u32) = (context.get(0)?, context.get(1)?, context.get(2)?);
        let wait = Duration::from_millis(wait.into()).min(WAIT_MAX);
        let (begun, look) = (Instant::now(), Duration::from_micros(look.into()));
        // SAFETY: the handle is that of the connection that runs the function; the reference stays on its thread and ends
        // before the function does.
        #[allow(unsafe_code)]
        let connection = unsafe { context.get_connection()? };
        let mut statement = connection.prepare("PRAGMA data_version")?;
        loop {
            // Before the look: what is committed after it must not be waited for.
            let count = self.count();
            let version = statement.query_row([], |row| row.get(0))?;
            let left = wait.saturating_sub(begun.elapsed());
            if version != seen || left.is_zero() {
                return Ok(version);
            }
            self.wait(count, look.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "SELECT next_data_version(?1, ?2, ?3)";
    const NEVER_LOOKS_US: u32 = u32::MAX;

    fn pair() -> (tempfile::TempDir, Commits, [Sqlite; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let commits = Commits::default();
        let connections = [(); 2].map(|()| Sqlite::open(folder.path().join("x.db")).unwrap());
        connections[0].pragma_update(None, "journal_mode", "wal").unwrap();
        connections[0].execute_batch("CREATE TABLE t (a)").unwrap();
        commits.offer(&connections[1]).unwrap();
        (folder, commits, connections)
    }

    fn ask(connection: &Sqlite, seen: i64, wait_ms: u32, look_us: u32) -> i64 {
        connection.query_row(SQL, (seen, wait_ms, look_us), |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_commit_ends_the_wait() {
        let (_folder, commits, [writer, waiter]) = pair();
        let seen = ask(&waiter, -1, 0, 0);
        let asked = std::thread::spawn(move || {
            // As long as it takes: one call waits a second at most.
            (0..60).map(|_| ask(&waiter, seen, 1_000, NEVER_LOOKS_US)).find(|&version| version != seen)
        });
        writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
        commits.announce();
        assert!(asked.join().unwrap().is_some());
    }

    #[test]
    fn a_commit_that_nobody_announces_is_found() {
        let (_folder, _commits, [writer, waiter]) = pair();
        let seen = ask(&waiter, -1, 0, 0);
        writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
        assert_ne!(ask(&waiter, seen, 1_000, 1), seen);
    }

    #[test]
    fn the_wait_ends_and_leaves_no_transaction_behind() {
        let (_folder, commits, [writer, waiter]) = pair();
        let seen = ask(&waiter, -1, 0, 0);
        commits.announce();
        assert_eq!(ask(&waiter, seen, 1, 1), seen);
        writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
        let (busy, frames, moved): (i64, i64, i64) = writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!((busy, frames, moved), (0, 0, 0));
    }
}
