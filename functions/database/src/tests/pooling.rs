use std::path::Path;
use std::time::Duration;

use super::{Outbox, ROOMY, entry, one};
use crate::native::Native;
use crate::{Database, Error, JournalSetting, Pool};

async fn take(pool: &Pool<Native>, path: &Path) -> Result<Database<Native>, Error> {
    pool.take(async || Database::open(Native::open(path), JournalSetting::Auto).await).await
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_removed_while_in_use_is_given_up_within_a_second() {
    check_removal(&["", "-wal", "-shm"]).await;
    check_removal(&[""]).await;
}

async fn check_removal(ends: &[&str]) {
    let (outbox, pool) = (Outbox::new(), Pool::new(1_000));
    let first = take(&pool, &outbox.path).await.unwrap();
    let id = first.outbox_id().to_owned();
    first.accept(&[one(1)], ROOMY).await.unwrap();
    pool.put(first);
    for end in ends {
        std::fs::remove_file(format!("{}{end}", outbox.path.display())).unwrap();
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let refusal = take(&pool, &outbox.path).await.err().unwrap();
    assert!(matches!(&refusal, Error::NotDurable(reason) if reason.contains(&id)), "{refusal}");
    let second = take(&pool, &outbox.path).await.unwrap();
    assert_ne!(second.outbox_id(), id);
    second.accept(&[one(2)], ROOMY).await.unwrap();
    drop(second);
    assert!(outbox.open().await.find(&entry(2).message_id).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_for_a_second() {
    let (outbox, pool) = (Outbox::new(), Pool::new(1_000));
    assert!(pool.is_unused());
    pool.put(take(&pool, &outbox.path).await.unwrap());
    assert!(!pool.is_unused());
    tokio::time::advance(Duration::from_millis(900)).await;
    let database = take(&pool, &outbox.path).await.unwrap();
    assert!(database.age_ms() >= 900);
    pool.put(database);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(take(&pool, &outbox.path).await.unwrap().age_ms() < 900);
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_a_file_that_was_replaced_is_not_used_again() {
    let (outbox, pool) = (Outbox::new(), Pool::new(5_000));
    let (idle, busy) = (take(&pool, &outbox.path).await.unwrap(), take(&pool, &outbox.path).await.unwrap());
    pool.put(idle);
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{end}", outbox.path.display())).unwrap();
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(matches!(take(&pool, &outbox.path).await, Err(Error::NotDurable(_))));
    let replaced = busy.outbox_id().to_owned();
    pool.put(busy);
    assert_ne!(take(&pool, &outbox.path).await.unwrap().outbox_id(), replaced);
}
