use super::{Outbox, ROOMY, one};
use crate::native::Native;
use crate::{Connection as _, Database, Error, JournalSetting};

#[tokio::test]
async fn a_writer_is_durable_and_keeps_the_files_id() {
    let outbox = Outbox::new();
    let first = outbox.open().await;
    assert_eq!(first.journal(), "wal");
    assert_eq!(first.one("PRAGMA synchronous", &[]).await.unwrap().integer(), 2);
    assert_eq!(first.outbox_id().len(), 32);
    let second = outbox.open().await;
    assert_eq!(first.outbox_id(), second.outbox_id());
}

#[tokio::test]
async fn another_file_has_another_id() {
    let (one, other) = (Outbox::new(), Outbox::new());
    assert_ne!(one.open().await.outbox_id(), other.open().await.outbox_id());
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    let result = Database::open(Native::in_memory(), JournalSetting::Auto).await;
    assert!(matches!(result.err(), Some(Error::NotDurable(_))));
}

#[tokio::test]
async fn the_journal_setting_is_kept_and_reads_back() {
    let outbox = Outbox::new();
    let database = Database::open(Native::open(&outbox.path), JournalSetting::Truncate).await.unwrap();
    assert_eq!(database.journal(), "truncate");
    drop(database);
    let reader = Database::open_read_only(Native::open(&outbox.path), JournalSetting::Truncate).await.unwrap();
    assert_eq!(reader.journal(), "truncate");
    drop(reader);
    assert_eq!(outbox.open().await.journal(), "wal");
}

#[tokio::test]
async fn every_commit_is_synced_in_either_journal_and_after_either_change() {
    let outbox = Outbox::new();
    for setting in [JournalSetting::Truncate, JournalSetting::Truncate, JournalSetting::Wal, JournalSetting::Truncate] {
        let connection = Native::open(&outbox.path);
        connection.execute("PRAGMA synchronous=OFF", &[]).await.unwrap();
        let database = Database::open(connection, setting).await.unwrap();
        assert_eq!(database.one("PRAGMA synchronous", &[]).await.unwrap().integer(), 2, "{setting:?}");
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let outbox = Outbox::new();
    drop(outbox.open().await);
    let reader = Database::open_read_only(Native::open(&outbox.path), JournalSetting::Auto).await.unwrap();
    assert!(reader.accept(&[one(1)], ROOMY).await.is_err());
    assert_eq!(reader.depth().await.unwrap().messages, 0);
    assert!(!reader.outbox_id().is_empty());
}

#[tokio::test]
async fn a_reader_of_a_file_that_nobody_made_finds_nothing() {
    let outbox = Outbox::new();
    let reader = Database::open_read_only(Native::open(&outbox.path), JournalSetting::Auto).await.unwrap();
    assert_eq!(reader.outbox_id(), "");
    assert_eq!(reader.find("msg_1_00000000000000000000").await.unwrap(), None);
    assert_eq!(reader.depth().await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_reader_needs_no_migration_that_changes_nothing_for_it() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.accept(&[one(1)], ROOMY).await.unwrap();
    database.run("PRAGMA user_version=1", &[]).await.unwrap();
    let reader = Database::open_read_only(Native::open(&outbox.path), JournalSetting::Auto).await.unwrap();
    assert_eq!(reader.outbox_id(), database.outbox_id());
    assert_eq!(reader.depth().await.unwrap().messages, 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged_not_replaced() {
    let outbox = Outbox::new();
    std::fs::write(&outbox.path, vec![b'x'; 8192]).unwrap();
    let result = Database::open(Native::open(&outbox.path), JournalSetting::Auto).await;
    assert!(matches!(result.err(), Some(Error::Damaged(_))));
    assert_eq!(std::fs::read(&outbox.path).unwrap(), vec![b'x'; 8192]);
}

#[tokio::test]
async fn a_small_file_with_broken_pages_is_damaged() {
    let outbox = Outbox::new();
    let database = Database::open(Native::open(&outbox.path), JournalSetting::Truncate).await.unwrap();
    database.accept(&(0..=255).map(one).collect::<Vec<_>>(), ROOMY).await.unwrap();
    assert!(database.check(9_000).await.unwrap());
    database.note_checked(10_000).await.unwrap();
    drop(database);
    let mut bytes = std::fs::read(&outbox.path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..last + 8].fill(0xff);
    std::fs::write(&outbox.path, bytes).unwrap();
    let database = Database::open(Native::open(&outbox.path), JournalSetting::Truncate).await.unwrap();
    assert_eq!(database.check(10_999).await, Ok(false), "it was found well just before");
    for now_ms in [11_000, 9_999] {
        assert!(matches!(database.check(now_ms).await, Err(Error::Damaged(_))), "at {now_ms}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.run("PRAGMA user_version=99", &[]).await.unwrap();
    let result = Database::open(Native::open(&outbox.path), JournalSetting::Auto).await;
    assert!(matches!(result.err(), Some(Error::Unavailable(text)) if text.contains("99")));
}

#[tokio::test]
async fn a_migration_that_was_cut_short_is_finished() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.run("DROP TRIGGER outbox_freed", &[]).await.unwrap();
    database.run("PRAGMA user_version=0", &[]).await.unwrap();
    let again = outbox.open().await;
    assert_eq!(again.outbox_id(), database.outbox_id());
    let triggers = again.one("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", &[]).await.unwrap();
    assert_eq!(triggers.integer(), 8);
}

#[tokio::test]
async fn a_probe_says_whether_a_write_works_now() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let before = std::fs::read(format!("{}-wal", outbox.path.display())).unwrap();
    database.probe().await.unwrap();
    database.probe().await.unwrap();
    let after = std::fs::read(format!("{}-wal", outbox.path.display())).unwrap();
    assert!(after.len() >= before.len() + 2 * 4096, "each probe reaches the file");
    let reader = Database::open_read_only(Native::open(&outbox.path), JournalSetting::Auto).await.unwrap();
    assert!(matches!(reader.probe().await, Err(Error::NotDurable(_))));
}

#[tokio::test]
async fn what_an_earlier_process_left_is_made_durable_by_copying_it() {
    let outbox = Outbox::new();
    // Stays open, as a killed process would leave its log: the last one that closes copies it.
    let earlier = outbox.open().await;
    earlier.accept(&[one(1)], ROOMY).await.unwrap();
    let holds_it = || {
        let bytes = std::fs::read(&outbox.path).unwrap();
        bytes.windows(8).any(|window| window == b"number 1")
    };
    assert!(!holds_it(), "it is in the log only");
    let database = outbox.open().await;
    database.make_log_durable().await.unwrap();
    assert!(holds_it());
    let log = std::fs::metadata(format!("{}-wal", outbox.path.display())).unwrap().len();
    assert_eq!(log, 0, "nothing is written behind pages that may be missing");
}

#[tokio::test]
async fn a_reader_that_ends_in_time_does_not_keep_an_outbox_from_being_made_durable() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.accept(&[one(1)], ROOMY).await.unwrap();
    let reader = outbox.open().await;
    reader.run("BEGIN", &[]).await.unwrap();
    reader.one("SELECT count(*) FROM outbox", &[]).await.unwrap();
    let durable = database.make_log_durable();
    let ended = async { reader.run("COMMIT", &[]).await };
    let (durable, _) = tokio::join!(durable, ended);
    durable.unwrap();
    assert_eq!(std::fs::metadata(format!("{}-wal", outbox.path.display())).unwrap().len(), 0);
}
