use super::{Outbox, ROOMY, entry, keyed, one};
use crate::{Batch, Bounds, Database, Earlier, native::Native};

#[tokio::test]
async fn an_accepted_message_is_found_as_it_was_written() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let entry = entry(1);
    assert_eq!(database.accept(&[one(1)], ROOMY).await.unwrap(), [true]);
    let found = outbox.open().await.find(&entry.message_id).await.unwrap().unwrap();
    assert_eq!(found.json, entry.json);
    assert_eq!((found.position, found.accepted_at, found.published), (1, 1_001, None));
}

#[tokio::test]
async fn a_taken_key_leaves_its_row_out_and_the_others_in() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.accept(&[keyed(1, "alice", "k")], ROOMY).await.unwrap();
    let group =
        [one(2), keyed(3, "alice", "k"), keyed(4, "carol", "k"), keyed(5, "alice", "l"), keyed(6, "alice", "l")];
    let inserted = database.accept(&group, ROOMY).await.unwrap();
    assert_eq!(inserted, [true, false, true, true, false]);
    assert_eq!(message_of_key(&database, "k").await.unwrap(), entry(1).json);
    assert_eq!(message_of_key(&database, "l").await.unwrap(), entry(5).json);
    assert_eq!(message_of_key(&database, "other").await, None);
    let depth = database.depth().await.unwrap();
    assert_eq!((depth.messages, depth.keys), (4, 3));
}

/// The one message that alice's key has.
async fn message_of_key(database: &Database<Native>, key: &str) -> Option<String> {
    let asked = keyed(1, "alice", key);
    let earlier = database.earlier(&asked.key.clone().unwrap(), asked.extent()).await.unwrap()?;
    let Earlier::Messages(messages) = earlier else { panic!("{earlier:?}") };
    let [message] = <[String; 1]>::try_from(messages).unwrap();
    Some(message)
}

async fn bound(bounds: Bounds, group: &[Batch], expected: usize) {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let inserted = database.accept(group, bounds).await.unwrap();
    assert_eq!(inserted, (0..group.len()).map(|i| i < expected).collect::<Vec<_>>());
    for (batch, inserted) in group.iter().zip(inserted) {
        assert_eq!(database.find(&batch.entries[0].message_id).await.unwrap().is_some(), inserted);
    }
    let depth = database.depth().await.unwrap();
    assert!(depth.messages + depth.keys <= bounds.rows_max && depth.bytes <= bounds.bytes_max);
}

#[tokio::test]
async fn the_bounds_hold_within_one_statement() {
    let group: Vec<_> = (1..=5).map(one).collect();
    bound(Bounds { rows_max: 5, ..ROOMY }, &group, 5).await;
    bound(Bounds { rows_max: 4, ..ROOMY }, &group, 4).await;
    bound(Bounds { rows_max: 0, ..ROOMY }, &group, 0).await;
    bound(Bounds { bytes_max: 1_000, ..ROOMY }, &group, 2).await;
    bound(Bounds { rows_max: 5, ..ROOMY }, &[keyed(1, "a", "1"), keyed(2, "a", "2"), keyed(3, "a", "3")], 2).await;
    bound(Bounds { rows_max: 3, ..ROOMY }, &[keyed(1, "a", "1"), one(2), one(3), keyed(4, "a", "4")], 2).await;
}

#[tokio::test]
async fn an_entry_whose_key_is_taken_uses_up_no_room() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let bounds = Bounds { rows_max: 5, ..ROOMY };
    database.accept(&[keyed(1, "alice", "k")], bounds).await.unwrap();
    // Room for three rows: one key is taken, one twice in the group.
    let group = [keyed(2, "alice", "k"), keyed(3, "alice", "l"), keyed(4, "alice", "l"), one(5), one(6)];
    assert_eq!(database.accept(&group, bounds).await.unwrap(), [false, true, false, true, false]);
    let positions = database.read(wiber_model::outbox::Which::Unpublished, 0, 9).await.unwrap();
    assert_eq!(positions.len(), 3);
    assert_eq!(positions[2].message.get(), entry(5).json);
}

#[tokio::test]
async fn a_full_outbox_has_room_again_once_a_row_is_settled() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let bounds = Bounds { rows_max: 1, ..ROOMY };
    database.accept(&[one(1)], bounds).await.unwrap();
    assert!(database.depth().await.unwrap().is_full(bounds));
    assert_eq!(database.accept(&[one(2)], bounds).await.unwrap(), [false]);
    let row = wiber_model::outbox::RowRef { position: 1, message_id: entry(1).message_id.try_into().unwrap() };
    assert_eq!(database.settle(&[row]).await.unwrap(), 1);
    assert_eq!(database.accept(&[one(2)], bounds).await.unwrap(), [true]);
}

#[tokio::test]
async fn keys_outlive_their_messages_and_age_by_running_time() {
    const HOUR: i64 = 3_600_000;
    let outbox = Outbox::new();
    let database = outbox.open().await;
    database.expire_keys(1_000).await.unwrap();
    database.accept(&[keyed(1, "alice", "k")], ROOMY).await.unwrap();
    // A clock that jumps 30 days ahead and back again.
    for now in [31, 30 * 24, 29 * 24, 1].map(|hours| hours * HOUR) {
        database.expire_keys(now).await.unwrap();
        assert!(message_of_key(&database, "k").await.is_some());
    }
    // 24 hours of steps of a minute.
    let mut now = 2 * HOUR;
    for _ in 0..24 * 60 - 10 {
        now += 60_000;
        database.expire_keys(now).await.unwrap();
    }
    assert!(message_of_key(&database, "k").await.is_some());
    for _ in 0..11 {
        now += 60_000;
        database.expire_keys(now).await.unwrap();
    }
    assert!(message_of_key(&database, "k").await.is_none());
    assert_eq!(database.depth().await.unwrap().keys, 0);
}
