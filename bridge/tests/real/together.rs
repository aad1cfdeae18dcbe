//! Writes of several partitions that go to MongoDB in one command.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use mongodb::bson::{Bson, Document, doc};
use wiber_bridge::store::{Doubt, MessageDocument, Outcome};

use crate::faults::FAIL_POINT;
use crate::harness::{Site, message, servers, site_with_app};
use crate::writes::document;

/// What one partition writes: a message of a conversation of its own.
fn batch(other: &str, seq: i64) -> Arc<[MessageDocument]> {
    Arc::from([document(&message("alice", other, "hello"), seq)])
}

/// Has this client's inserts take so long; the answer counts those that met a fail point before.
async fn inserts(mode: impl Into<Bson>, name: &str, block_ms: i32) -> Document {
    let admin = mongodb::Client::with_uri_str(servers().await.mongo.uri()).await.unwrap().database("admin");
    let data = doc! { "failCommands": ["insert"], "appName": name, "blockConnection": true, "blockTimeMS": block_ms };
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": data }).await.unwrap()
}

async fn stored(site: &Site, batch: &[MessageDocument]) -> bool {
    !site.store.known(&[&batch[0].id]).await.unwrap().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_meet_share_a_command() {
    let site = site_with_app("meeting").await;
    let _guard = FAIL_POINT.lock().await;
    let count = |reply: Document| reply.get_i32("count").unwrap();
    let before = count(inserts("alwaysOn", "meeting", 20).await);
    let batches: Vec<_> = (0..12).map(|n| batch(&format!("user{n}"), 1)).collect();
    let outcomes = join_all(batches.iter().map(|batch| site.store.insert_together(batch))).await;
    let commands = count(inserts("off", "meeting", 0).await) - before;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
    for batch in &batches {
        assert!(stored(&site, batch).await);
    }
    // The first one met nobody, the others waited for it.
    assert!(commands < 12, "{commands} commands");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_meets_a_write_that_fails_is_told_and_succeeds_alone() {
    let site = site_with_app("failing").await;
    let _guard = FAIL_POINT.lock().await;
    let taken = batch("bob", 1);
    assert!(matches!(site.store.insert_together(&taken).await, Outcome::Done));
    inserts("alwaysOn", "failing", 20).await;
    // Behind the first one that repeats a message wait one with its place and one that could do without both.
    let batches = [Arc::clone(&taken), batch("bob", 1), batch("carol", 1)];
    let outcomes = join_all(batches.iter().map(|batch| site.store.insert_together(batch))).await;
    inserts("off", "failing", 0).await;
    for outcome in &outcomes[..2] {
        assert!(matches!(outcome, Outcome::Doubtful(Doubt::Duplicate, _)), "{outcome:?}");
    }
    assert!(!stored(&site, &batches[1]).await);
    match &outcomes[2] {
        // Only if the server took so long that it went by itself.
        Outcome::Done => {}
        Outcome::Doubtful(Doubt::Duplicate, _) => {
            assert!(!stored(&site, &batches[2]).await, "nothing behind a duplicate is written");
            assert!(matches!(site.store.insert(&batches[2]).await, Outcome::Done));
        }
        other => panic!("{other:?}"),
    }
    assert!(stored(&site, &batches[2]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_does_not_hold_up_others() {
    let site = site_with_app("hanging").await;
    let _guard = FAIL_POINT.lock().await;
    // Within the write's limit, far beyond what another one waits.
    inserts(doc! { "times": 1 }, "hanging", 2_000).await;
    let (hanging, other) = (batch("bob", 1), batch("carol", 1));
    let write = async |name: &'static str, batch| (name, site.store.insert_together(batch).await);
    let mut writes = FuturesUnordered::new();
    writes.push(write("hanging", &hanging));
    writes.push(write("other", &other));
    let ended: Vec<_> = writes.by_ref().collect().await;
    assert!(matches!(&ended[..], [("other", Outcome::Done), ("hanging", Outcome::Done)]), "{ended:?}");
}
