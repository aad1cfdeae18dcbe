//! On logs that a real SQLite wrote: a copy of the files while it has them open is what its crash would leave.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A database in the middle of its work, and what a crash would leave of it.
struct Crashed {
    folder: TempDir,
    live: Connection,
}

const PAGE: u64 = 4096;
const FRAME: u64 = PAGE + FRAME_HEADER_BYTES as u64;

impl Crashed {
    /// A table, and commits that each write at least one page.
    fn after(commits: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let live = Connection::open(folder.path().join("live.db")).unwrap();
        live.execute_batch("PRAGMA journal_mode=wal; PRAGMA synchronous=FULL; CREATE TABLE t (x);").unwrap();
        let this = Self { folder, live };
        this.commit(commits);
        this
    }

    fn commit(&self, commits: u32) {
        for _ in 0..commits {
            self.live.execute("INSERT INTO t VALUES (randomblob(3000))", []).unwrap();
        }
    }

    /// Copies the files and lets `harm` at the copy's path; whether it is judged whole, and how many rows SQLite finds.
    fn check(&self, harm: impl FnOnce(&Path)) -> (bool, i64) {
        let copy = self.folder.path().join("copy.db");
        for end in ["", "-wal", "-shm"] {
            std::fs::copy(beside(&self.folder.path().join("live.db"), end), beside(&copy, end)).unwrap();
        }
        harm(&copy);
        let whole = match check(&copy) {
            Ok(()) => true,
            Err(Error::Damaged(_)) => false,
            Err(other) => panic!("{other}"),
        };
        let rows = || Connection::open(&copy)?.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
        (whole, rows().unwrap_or(-1))
    }
}

fn wal(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

fn cut(database: &Path, bytes: u64) {
    let file = File::options().write(true).open(wal(database)).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

/// Flips a bit, so many bytes before the end.
fn flip(database: &Path, before_end: u64) {
    let mut bytes = std::fs::read(wal(database)).unwrap();
    let at = bytes.len() - usize::try_from(before_end).unwrap();
    bytes[at] ^= 4;
    std::fs::write(wal(database), bytes).unwrap();
}

/// After a loss of power the index is not to be trusted, and mostly gone.
fn forget_index(database: &Path) {
    std::fs::remove_file(beside(database, "-shm")).unwrap();
}

#[test]
fn what_a_crash_leaves_is_whole() {
    let crashed = Crashed::after(20);
    assert_eq!(crashed.check(|_| {}), (true, 20));
    assert_eq!(crashed.check(forget_index), (true, 20));
    assert!(check(Path::new("/nowhere/x.db")).is_ok());
}

#[test]
fn a_log_that_began_anew_is_whole() {
    let crashed = Crashed::after(20);
    crashed.live.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
    assert_eq!(crashed.check(|_| {}), (true, 20));
    // Frames of the first round lie behind those of the second.
    crashed.commit(3);
    assert_eq!(crashed.check(|_| {}), (true, 23));
    assert_eq!(crashed.check(|copy| cut(copy, FRAME / 2)), (true, 23));
    crashed.live.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert_eq!(crashed.check(|_| {}), (true, 23));
}

#[test]
fn a_commit_that_was_cut_short_is_no_damage() {
    let crashed = Crashed::after(20);
    // Pages that a transaction could not keep in memory, then its end without a commit.
    crashed
        .live
        .execute_batch("PRAGMA cache_size=10; BEGIN; INSERT INTO t SELECT randomblob(3000) FROM t, t AS u;")
        .unwrap();
    assert_eq!(crashed.check(|_| {}), (true, 20));
    assert_eq!(crashed.check(|copy| cut(copy, FRAME + 100)), (true, 20));
    crashed.live.execute_batch("ROLLBACK").unwrap();
    crashed.commit(2);
    assert_eq!(crashed.check(|_| {}), (true, 22));
}

#[test]
fn a_flipped_bit_is_damage() {
    let crashed = Crashed::after(20);
    for before_end in [1, 100, FRAME - 2, FRAME + 50, 5 * FRAME + 1, 12 * FRAME - 17] {
        let (whole, rows) = crashed.check(|copy| flip(copy, before_end));
        assert!(!whole && rows < 20, "{before_end} bytes before the end: {rows} rows");
    }
    // Without the index the last commit could be one that was cut short; any other has a commit behind it.
    for before_end in [5 * FRAME + 1, 12 * FRAME - 17] {
        let (whole, _) = crashed.check(|copy| {
            forget_index(copy);
            flip(copy, before_end);
        });
        assert!(!whole, "{before_end} bytes before the end");
    }
}

#[test]
fn a_flipped_bit_of_the_header_is_damage() {
    let crashed = Crashed::after(3);
    let length = std::fs::metadata(wal(&crashed.folder.path().join("live.db"))).unwrap().len();
    for at in 0..HEADER_BYTES as u64 {
        let (whole, _) = crashed.check(|copy| flip(copy, length - at));
        // The round's number is for people.
        assert!(!whole, "byte {at}");
    }
}

#[test]
fn a_truncated_log_is_damage() {
    let crashed = Crashed::after(20);
    for bytes in [1, FRAME - 1, FRAME, 3 * FRAME, 10 * FRAME + 7] {
        let (whole, rows) = crashed.check(|copy| cut(copy, bytes));
        assert!(!whole && rows < 20, "{bytes} bytes cut: {rows} rows");
    }
    assert!(!crashed.check(|copy| std::fs::write(wal(copy), b"").unwrap()).0);
    assert!(!crashed.check(|copy| std::fs::remove_file(wal(copy)).unwrap()).0);
}

#[test]
fn a_guard_looks_until_the_log_is_whole() {
    let crashed = Crashed::after(3);
    let guard = Guard::default();
    crashed.check(|copy| {
        let whole = std::fs::read(wal(copy)).unwrap();
        cut(copy, 1);
        assert!(guard.check(copy).is_err() && guard.clone().check(copy).is_err());
        std::fs::write(wal(copy), whole).unwrap();
        assert!(guard.check(copy).is_ok());
        // Whoever opened it since may be in the middle of a commit.
        cut(copy, 1);
        assert!(guard.clone().check(copy).is_ok());
    });
}

#[test]
fn a_log_beside_no_database_is_none() {
    let crashed = Crashed::after(3);
    let (whole, _) = crashed.check(|copy| {
        flip(copy, 4 * FRAME);
        std::fs::remove_file(copy).unwrap();
    });
    assert!(whole);
}
