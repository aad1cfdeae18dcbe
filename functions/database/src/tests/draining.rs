use wiber_model::outbox::{PublishedRow, READ_BYTES_MAX, RowRef, Which};

use super::{Outbox, ROOMY, entry, one};
use crate::native::Native;
use crate::{Database, Lease, Value};

fn published(n: u8) -> PublishedRow {
    let message_id = entry(n).message_id.try_into().unwrap();
    PublishedRow { position: i64::from(n), message_id, partition: 3, offset: 40, published_at: 5_000 }
}

fn exact(position: i64, n: u8) -> RowRef {
    RowRef { position, message_id: entry(n).message_id.try_into().unwrap() }
}

async fn filled(outbox: &Outbox, rows: u8) -> Database<Native> {
    let database = outbox.open().await;
    database.accept(&(1..=rows).map(one).collect::<Vec<_>>(), ROOMY).await.unwrap();
    database
}

async fn positions(database: &Database<Native>, which: Which, after: i64, limit: u32) -> Vec<i64> {
    database.read(which, after, limit).await.unwrap().iter().map(|row| row.position).collect()
}

#[tokio::test]
async fn rows_are_read_by_position_byte_for_byte() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 5).await;
    assert_eq!(positions(&database, Which::Unpublished, 0, 3).await, [1, 2, 3]);
    assert_eq!(positions(&database, Which::Unpublished, 3, 3).await, [4, 5]);
    assert_eq!(positions(&database, Which::Unpublished, 5, 3).await, [0; 0]);
    assert_eq!(database.read(Which::Unpublished, 1, 1).await.unwrap()[0].message.get(), entry(2).json);
}

#[tokio::test]
async fn a_read_holds_no_more_than_it_returns() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let long = |n| {
        let mut batch = one(n);
        let entry = &mut batch.entries[0];
        entry.json = format!("{:?}", "x".repeat(30_000));
        batch
    };
    database.accept(&(1..=255).map(long).collect::<Vec<_>>(), ROOMY).await.unwrap();
    let rows = database.read(Which::Unpublished, 0, 1_000).await.unwrap();
    assert_eq!(rows.len(), READ_BYTES_MAX / 30_002);
    assert!(database.connection().largest_bytes() < READ_BYTES_MAX, "{} bytes", database.connection().largest_bytes());
    assert_eq!(positions(&database, Which::Unsettled, 139, 1_000).await, (140..=255).collect::<Vec<_>>());
    assert_eq!(positions(&database, Which::Unsettled, 0, 101).await, (1..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_are_listed_without_the_lease() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 3).await;
    database.published(&[published(2)]).await.unwrap();
    let rows = database.rows(1, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.position, row.published)).collect::<Vec<_>>(), [(2, true), (3, false)]);
    assert_eq!(rows[0].message.get(), entry(2).json);
    assert_eq!(database.rows(0, 1).await.unwrap().len(), 1);
    assert!(database.rows(3, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn marking_and_settling_may_be_repeated() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 3).await;
    assert_eq!(database.published(&[published(1), published(2)]).await.unwrap(), 2);
    assert_eq!(database.published(&[published(1), published(2)]).await.unwrap(), 0);
    assert_eq!(database.find(&entry(1).message_id).await.unwrap().unwrap().published, Some((3, 40, 5_000)));
    assert_eq!(positions(&database, Which::Unpublished, 0, 9).await, [3]);
    assert_eq!(positions(&database, Which::Unsettled, 0, 9).await, [1, 2, 3]);
    let rows = database.unsettled(0, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.partition).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(rows.into_iter().map(RowRef::from).collect::<Vec<_>>(), [exact(1, 1), exact(2, 2)]);
    assert_eq!(database.last_position().await.unwrap(), 3);
    assert_eq!(database.settle(&[exact(1, 1), exact(2, 2)]).await.unwrap(), 2);
    assert_eq!(database.settle(&[exact(1, 1)]).await.unwrap(), 0);
    assert_eq!(database.published(&[published(1)]).await.unwrap(), 0);
    let depth = database.depth().await.unwrap();
    assert_eq!((depth.messages, depth.accepted_total, depth.oldest_accepted_at), (1, 3, Some(1_003)));
}

#[tokio::test]
async fn only_the_exact_row_is_freed() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 2).await;
    assert_eq!(database.settle(&[exact(1, 9)]).await.unwrap(), 0);
    assert_eq!(database.settle(&[exact(9, 1)]).await.unwrap(), 0);
    assert_eq!(database.settle(&[exact(1, 2), exact(2, 1)]).await.unwrap(), 0);
    assert_eq!(database.depth().await.unwrap().messages, 2);
}

#[tokio::test]
async fn positions_are_never_reused() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 2).await;
    database.settle(&[exact(1, 1), exact(2, 2)]).await.unwrap();
    assert_eq!(database.depth().await.unwrap().bytes, 0);
    database.accept(&[one(3)], ROOMY).await.unwrap();
    assert_eq!(positions(&database, Which::Unpublished, 0, 9).await, [3]);
}

#[tokio::test]
async fn one_reader_at_a_time_holds_the_lease() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let at = |holder, now_ms| Lease { holder, now_ms };
    assert_eq!(database.lease(at("a", 1_000), 5_000).await.unwrap(), Some(1));
    assert_eq!(database.lease(at("a", 2_000), 5_000).await.unwrap(), Some(1));
    assert_eq!(database.lease(at("b", 6_999), 5_000).await.unwrap(), None);
    assert!(database.holds_lease(at("a", 6_999)).await.unwrap());
    assert!(!database.holds_lease(at("a", 7_000)).await.unwrap());
    assert_eq!(database.lease(at("b", 7_000), 5_000).await.unwrap(), Some(2));
    assert_eq!(database.release("a").await.unwrap(), 0);
    assert_eq!(database.release("b").await.unwrap(), 1);
    assert_eq!(database.lease(at("a", 7_001), 5_000).await.unwrap(), Some(3));
    assert_eq!(database.lease(at("a", 99_000), 5_000).await.unwrap(), Some(3), "nobody else had it since");
}

#[tokio::test]
async fn a_lease_from_the_future_is_a_clock_that_jumped_back() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    assert_eq!(database.lease(Lease { holder: "a", now_ms: 10_000_000 }, 5_000).await.unwrap(), Some(1));
    assert_eq!(database.lease(Lease { holder: "b", now_ms: 1_000 }, 5_000).await.unwrap(), Some(2));
}

#[tokio::test]
async fn another_connections_commit_is_noticed() {
    let outbox = Outbox::new();
    let (reader, writer) = (outbox.open().await, outbox.open().await);
    let before = reader.data_version().await.unwrap();
    assert_eq!(reader.data_version().await.unwrap(), before);
    assert_eq!(reader.next_data_version(before, 1, 1).await.unwrap(), before);
    writer.accept(&[one(1)], ROOMY).await.unwrap();
    assert_ne!(reader.next_data_version(before, 1, 1).await.unwrap(), before);
    assert_ne!(reader.data_version().await.unwrap(), before);
}

async fn plan(database: &Database<Native>, sql: &str, parameters: &[Value]) -> Vec<String> {
    let plan = database.run(&format!("EXPLAIN QUERY PLAN {sql}"), parameters).await.unwrap();
    plan.into_iter().filter_map(|row| row.into_iter().last()).map(Value::into_text).collect()
}

/// Rows are looked up one by one: neither is the outbox walked, nor the list read again for every row of it.
#[tokio::test]
async fn rows_are_marked_and_settled_by_position() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 200).await;
    let rows = Value::Text(serde_json::to_string(&[published(1)]).unwrap());
    for sql in [super::super::drain::PUBLISHED, super::super::drain::SETTLE] {
        let plan = plan(&database, sql, std::slice::from_ref(&rows)).await;
        let by_position =
            |line: &&String| line.starts_with("SEARCH o") && line.ends_with("USING INTEGER PRIMARY KEY (rowid=?)");
        let searched = plan.iter().filter(|line| !line.contains(" e ") && !line.contains("SUBQUERY"));
        assert!(searched.clone().count() > 0 && searched.clone().all(|line| by_position(&line)), "{sql}: {plan:?}");
    }
}

#[tokio::test]
async fn what_is_listed_is_found_by_index() {
    let outbox = Outbox::new();
    let database = filled(&outbox, 200).await;
    let by_state = "outbox_state (state=? AND position>?)";
    let by_position = "USING INTEGER PRIMARY KEY (rowid>?)";
    let listings = [
        (super::super::drain::UNSETTLED.to_owned(), by_state),
        (super::super::drain::read_statement(Which::Unpublished), by_state),
        (super::super::drain::read_statement(Which::Unsettled), by_position),
        (super::super::drain::ROWS.to_owned(), by_position),
    ];
    for (sql, index) in listings {
        let plan = plan(&database, &sql, &[0.into(), 10.into()]).await;
        assert!(plan.iter().any(|line| line.contains(index)), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}
