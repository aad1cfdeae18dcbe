//! Waiting for a commit. A component that looks for one with `PRAGMA data_version` now and then is woken for each look, and
//! on caches gone cold a look costs 0.4 ms. Here the connection's thread waits instead.
//!
//! Every connection has the function `next_data_version(seen, wait_ms, look_us)`, which Spin has not: it returns what
//! `PRAGMA data_version` says once that is not `seen`, or after `wait_ms` milliseconds, but after a second at most. Rows
//! that this process changed under the same label are noticed at once, anything else after `look_us` microseconds.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection as Sqlite, ErrorCode};

use super::fault;

/// Most that one call waits: a connection that nobody wants any more keeps its thread for so long.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Least between two looks.
const LOOK_MIN: Duration = Duration::from_micros(100);

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
        let (begun, look) = (Instant::now(), Duration::from_micros(look.into()).max(LOOK_MIN));
        // SAFETY: the handle is that of the connection that runs the function; the reference stays on its thread and ends
        // before the function does.
        #[allow(unsafe_code)]
        let connection = unsafe { context.get_connection()? };
        let mut statement = connection.prepare("PRAGMA data_version")?;
        loop {
            // Before the look: what is committed after it must not be waited for.
            let count = self.count();
            let version = statement.query_row([], |row| row.get(0));
            let left = wait.saturating_sub(begun.elapsed());
            match version {
                Ok(version) if version == seen && !left.is_zero() => {}
                // What locks the file has not committed yet.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && !left.is_zero() => {}
                // The error's code, by which a fault of the disk is known, does not leave a function.
                version => return version.inspect_err(|error| drop(fault::check(&connection, error))),
            }
            self.wait(count, look.min(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    const SQL: &str = "SELECT next_data_version(?1, ?2, ?3)";
    const NEVER: u32 = u32::MAX;

    fn pair(journal: &str) -> (tempfile::TempDir, Commits, [Sqlite; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let commits = Commits::default();
        let connections = [(); 2].map(|()| Sqlite::open(folder.path().join("x.db")).unwrap());
        connections[0].pragma_update(None, "journal_mode", journal).unwrap();
        connections[0].execute_batch("CREATE TABLE t (a)").unwrap();
        connections[1].busy_timeout(Duration::ZERO).unwrap();
        commits.offer(&connections[1]).unwrap();
        (folder, commits, connections)
    }

    fn ask(connection: &Sqlite, seen: i64, wait_ms: u32, look_us: u32) -> i64 {
        connection.query_row(SQL, (seen, wait_ms, look_us), |row| row.get(0)).unwrap()
    }

    /// Asks until there is another version.
    fn asked(connection: Sqlite, seen: i64, look_us: u32) -> thread::JoinHandle<()> {
        thread::spawn(move || while ask(&connection, seen, NEVER, look_us) == seen {})
    }

    #[test]
    fn an_announcement_ends_the_wait() {
        const ROUNDS: u64 = 1_000;
        let (ping, pong) = (Commits::default(), Commits::default());
        let (pinged, answers) = (ping.clone(), pong.clone());
        let other = thread::spawn(move || {
            for round in 0..ROUNDS {
                pinged.wait(round, Duration::MAX);
                answers.announce();
            }
        });
        for round in 0..ROUNDS {
            ping.announce();
            pong.wait(round, Duration::MAX);
        }
        other.join().unwrap();
    }

    #[test]
    fn a_commit_is_found_announced_or_not() {
        for (announced, look_us) in [(true, NEVER), (false, 1_000)] {
            let (_folder, commits, [writer, waiter]) = pair("wal");
            let seen = ask(&waiter, -1, 0, 0);
            let asked = asked(waiter, seen, look_us);
            writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
            if announced {
                commits.announce();
            }
            asked.join().unwrap();
        }
    }

    #[test]
    fn the_whole_log_can_be_written_back_while_one_waits() {
        let (_folder, _commits, [writer, waiter]) = pair("wal");
        let seen = ask(&waiter, -1, 0, 0);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let waits = thread::spawn(move || {
            let mut seen = seen;
            while !over.load(Ordering::Relaxed) {
                seen = ask(&waiter, seen, NEVER, 1_000);
            }
        });
        writer.busy_timeout(Duration::from_millis(500)).unwrap();
        for _ in 0..100 {
            writer.execute("INSERT INTO t VALUES (1)", []).unwrap();
            let busy: i64 = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
            assert_eq!(busy, 0);
        }
        is_over.store(true, Ordering::Relaxed);
        waits.join().unwrap();
    }

    #[test]
    fn a_lock_is_waited_out() {
        let (_folder, _commits, [writer, waiter]) = pair("truncate");
        let seen = ask(&waiter, -1, 0, 0);
        writer.execute_batch("BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)").unwrap();
        let refused = waiter.query_row(SQL, (seen, 0, 0), |row| row.get::<_, i64>(0)).unwrap_err();
        assert!(refused.to_string().contains("database is locked"), "{refused}");
        let asked = thread::spawn(move || ask(&waiter, seen, NEVER, 1_000));
        writer.execute_batch("COMMIT").unwrap();
        assert_ne!(asked.join().unwrap(), seen);
    }
}
