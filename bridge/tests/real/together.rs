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

/// What some partitions are told that write at once.
async fn at_once(site: &Site, batches: &[Arc<[MessageDocument]>]) -> Vec<Outcome> {
    join_all(batches.iter().map(|batch| site.store.insert_together(batch))).await
}

fn of_each_user() -> Vec<Arc<[MessageDocument]>> {
    (0..12).map(|n| batch(&format!("user{n}"), 1)).collect()
}

/// A write goes by itself where the one before it takes very long, as may happen on a busy machine.
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_meet_share_a_command() {
    let _guard = FAIL_POINT.lock().await;
    for round in 1.. {
        let site = site_with_app("meeting").await;
        let count = |reply: Document| reply.get_i32("count").unwrap();
        let before = count(inserts("alwaysOn", "meeting", 20).await);
        let batches = of_each_user();
        let outcomes = at_once(&site, &batches).await;
        let commands = count(inserts("off", "meeting", 0).await) - before;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
        for batch in &batches {
            assert!(stored(&site, batch).await);
        }
        // The first one meets nobody, the others wait for it.
        if commands < 12 {
            break;
        }
        assert!(round < ROUNDS, "{commands} commands");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_costs_those_beside_it_nothing() {
    let site = site_with_app("failing").await;
    let _guard = FAIL_POINT.lock().await;
    let taken = batch("bob", 1);
    assert!(matches!(site.store.insert_together(&taken).await, Outcome::Done));
    inserts("alwaysOn", "failing", 20).await;
    // Behind the first one, which repeats a message, wait one, one whose place is taken, and another one.
    let batches = [Arc::clone(&taken), batch("carol", 1), batch("bob", 1), batch("dave", 1)];
    let outcomes = at_once(&site, &batches).await;
    inserts("off", "failing", 0).await;
    for at in [0, 2] {
        assert!(matches!(outcomes[at], Outcome::Doubtful(Doubt::Duplicate, _)), "{outcomes:?}");
    }
    // In the same command before the one that fails, which is for a read to tell, unless it went by itself.
    assert!(matches!(outcomes[1], Outcome::Done | Outcome::Doubtful(Doubt::Unknown, _)), "{outcomes:?}");
    assert!(matches!(outcomes[3], Outcome::Done), "{outcomes:?}");
    for (batch, is_stored) in batches.iter().zip([true, true, false, true]) {
        assert_eq!(stored(&site, batch).await, is_stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_hangs_does_not_hold_up_those_that_wait() {
    let site = site_with_app("hanging").await;
    let _guard = FAIL_POINT.lock().await;
    // Within the write's limit, far beyond what another one waits.
    inserts(doc! { "times": 1 }, "hanging", 1_200).await;
    let (hanging, other) = (batch("bob", 1), batch("carol", 1));
    let write = async |name: &'static str, batch| (name, site.store.insert_together(batch).await);
    let mut writes = FuturesUnordered::new();
    writes.push(write("hanging", &hanging));
    writes.push(write("other", &other));
    let ended: Vec<_> = writes.by_ref().collect().await;
    assert!(matches!(&ended[..], [("other", Outcome::Done), ("hanging", Outcome::Done)]), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_lets_those_go_that_it_took_along() {
    let _guard = FAIL_POINT.lock().await;
    for round in 1.. {
        let site = site_with_app("taken").await;
        // All but the first, which meets nobody; within the limit of a write by itself.
        inserts(doc! { "skip": 1 }, "taken", 1_400).await;
        let outcomes = at_once(&site, &of_each_user()).await;
        inserts("off", "taken", 0).await;
        let let_go = outcomes.iter().filter(|one| matches!(one, Outcome::Doubtful(Doubt::Unknown, _))).count();
        if let_go > 1 {
            break;
        }
        assert!(round < ROUNDS, "{outcomes:?}");
    }
}
