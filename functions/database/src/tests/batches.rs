//! Batches: all of one or none of it, under one key.

use wiber_model::outbox::{RowRef, Which};

use super::{Outbox, ROOMY, batch, entry, keyed, keyed_array, one};
use crate::expire::KEY_MS_MIN;
use crate::native::Native;
use crate::{Batch, Bounds, Database, Earlier};

async fn accept(database: &Database<Native>, batches: &[Batch], bounds: Bounds, expected: &[bool]) {
    assert_eq!(database.accept(batches, bounds).await.unwrap(), expected);
    let depth = database.depth().await.unwrap();
    assert!(depth.messages + depth.keys <= bounds.rows_max && depth.bytes <= bounds.bytes_max, "{depth:?}");
}

async fn earlier(database: &Database<Native>, batch: Batch) -> Option<Earlier> {
    database.earlier(batch.key.as_ref().unwrap(), batch.extent()).await.unwrap()
}

fn answered(numbers: impl IntoIterator<Item = u8>) -> Option<Earlier> {
    Some(Earlier::Messages(messages(numbers)))
}

fn messages(numbers: impl IntoIterator<Item = u8>) -> Vec<String> {
    numbers.into_iter().map(|n| entry(n).json).collect()
}

#[tokio::test]
async fn a_batch_lies_in_its_order_between_others() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    accept(&database, &[one(9), batch([3, 1, 2]), one(8)], ROOMY, &[true; 3]).await;
    let rows = database.read(Which::Unpublished, 0, 9).await.unwrap();
    let read: Vec<&str> = rows.iter().map(|row| row.message.get()).collect();
    assert_eq!(read, messages([9, 3, 1, 2, 8]));
}

#[tokio::test]
async fn a_bound_leaves_out_whole_batches() {
    for (rows_max, expected) in [(7, [true, true]), (6, [true, false]), (3, [true, false]), (2, [false, false])] {
        let outbox = Outbox::new();
        let bounds = Bounds { rows_max, ..ROOMY };
        accept(&outbox.open().await, &[batch(1..=3), batch(4..=7)], bounds, &expected).await;
    }
    let outbox = Outbox::new();
    let database = outbox.open().await;
    // A key costs a row for each message. A batch that does not fit keeps no single message out.
    let bounds = Bounds { rows_max: 7, ..ROOMY };
    accept(
        &database,
        &[keyed_array(1..=3, "alice", "k"), keyed_array(4..=5, "alice", "l"), one(6)],
        bounds,
        &[true, false, true],
    )
    .await;
    assert_eq!(earlier(&database, keyed_array(4..=5, "alice", "l")).await, None);
    assert_eq!(database.depth().await.unwrap().messages, 4);
}

#[tokio::test]
async fn one_key_covers_all_messages_and_either_form_takes_it() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let group = [
        keyed_array(1..=20, "alice", "k"),
        keyed(21, "alice", "k"),
        keyed_array([22], "alice", "one"),
        keyed(23, "alice", "single"),
        keyed_array([24, 25], "carol", "k"),
        keyed_array([26, 27], "alice", "single"),
    ];
    accept(&database, &group, ROOMY, &[true, false, true, true, true, false]).await;
    for again in [keyed_array(31..=40, "alice", "k"), keyed(41, "alice", "k"), keyed(42, "alice", "one")] {
        accept(&database, &[one(50), again], ROOMY, &[true, false]).await;
        let depth = database.depth().await.unwrap();
        assert_eq!((depth.messages - 1, depth.keys), (24, 24));
        let row = RowRef { position: depth.accepted_total, message_id: entry(50).message_id.try_into().unwrap() };
        assert_eq!(database.settle(&[row]).await.unwrap(), 1);
    }
    accept(&database, &[keyed_array([43, 44], "alice", "single")], ROOMY, &[false]).await;
    assert_eq!(earlier(&database, keyed_array(31..=50, "alice", "k")).await, answered(1..=20));
    assert_eq!(earlier(&database, keyed_array([9], "alice", "one")).await, answered([22]));
    assert_eq!(earlier(&database, keyed(9, "alice", "single")).await, answered([23]));
    assert_eq!(earlier(&database, keyed_array([8, 9], "carol", "k")).await, answered([24, 25]));
    for other in [
        keyed_array(31..=49, "alice", "k"),
        keyed(9, "alice", "k"),
        keyed(9, "alice", "one"),
        keyed_array([9], "alice", "single"),
    ] {
        assert_eq!(earlier(&database, other).await, Some(Earlier::Other));
    }
}

#[tokio::test]
async fn a_batch_whose_key_is_taken_uses_up_no_room() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let bounds = Bounds { rows_max: 9, ..ROOMY };
    accept(&database, &[keyed_array([1, 2], "alice", "k")], bounds, &[true]).await;
    let group = [keyed_array([3, 4], "alice", "k"), batch([5, 6]), keyed(7, "alice", "l"), one(8)];
    accept(&database, &group, bounds, &[false, true, true, true]).await;
}

#[tokio::test]
async fn the_keys_of_a_batch_are_forgotten_from_the_first_on() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    accept(&database, &[keyed_array(1..=200, "alice", "k"), keyed(201, "alice", "l")], ROOMY, &[true; 2]).await;
    // As a statement does that frees fewer keys than there are.
    let free = "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency ORDER BY born_running_ms, id LIMIT ?1)";
    database.run(free, &[5.into()]).await.unwrap();
    assert_eq!(earlier(&database, keyed_array(1..=200, "alice", "k")).await, None);
    accept(&database, &[keyed_array(202..=204, "alice", "k")], ROOMY, &[true]).await;
    assert_eq!(earlier(&database, keyed_array(1..=3, "alice", "k")).await, answered(202..=204));
    // All of it, once a day of running time is over.
    let mut now = 0;
    while now <= KEY_MS_MIN + 120_000 {
        now += 60_000;
        database.expire_keys(now).await.unwrap();
    }
    assert_eq!(database.depth().await.unwrap().keys, 0);
    assert_eq!(earlier(&database, keyed_array(1..=3, "alice", "k")).await, None);
}

#[tokio::test]
async fn a_short_request_under_the_key_of_a_long_one_is_another() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let mut long = keyed_array(1..=3, "alice", "k");
    long.entries[2].json = format!("{:?}", "x".repeat(100_000));
    accept(&database, &[long], ROOMY, &[true]).await;
    assert_eq!(earlier(&database, keyed_array(1..=3, "alice", "k")).await, Some(Earlier::Other));
}
