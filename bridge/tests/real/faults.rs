//! MongoDB that fails in the middle of writes, by its own fail points, and a log with flipped bits.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use futures::future::join_all;
use mongodb::bson::{Document, doc};
use wiber_bridge::store::{GapReason, NewGap};
use wiber_model::Message;

use crate::gaps::{closed, gap, resend};
use crate::harness::{Site, check_order, message, messages, read_all, servers, site, site_with_app, until};

/// Half of the inserts of one test's client meet `failure`, while repeats and a second consumer come on top.
async fn check(name: &str, failure: Document) {
    let site = site_with_app(name).await;
    let admin = mongodb::Client::with_uri_str(servers().await.mongo.uri()).await.unwrap().database("admin");
    let mut data = doc! { "failCommands": ["insert"], "appName": name };
    data.extend(failure);
    let mode = doc! { "activationProbability": 0.5 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    // Several partitions, whose writes go together, and as many messages in each as several writes take.
    let sent: Vec<(&str, Vec<Message>)> =
        ["bob", "carol", "dave"].map(|other| (other, messages("alice", other, 120))).into();
    let first = site.consume();
    let _guard = FAIL_POINT.lock().await;
    admin.run_command(fail).await.unwrap();
    let mut partitions = BTreeSet::new();
    for at in 0..120 {
        for (_, messages) in &sent {
            partitions.insert(site.produce(&messages[at], i64::try_from(at).unwrap()).await.0);
            if at % 40 == 39 {
                for repeat in &messages[10..20] {
                    site.produce(repeat, 0).await;
                }
            }
        }
    }
    let second = site.consume();
    // Long enough under failures to meet many of them.
    assert_eq!(partitions.len(), sent.len());
    for (other, _) in &sent {
        until("half of the messages", async || {
            let stored = read_all(&site.store, "alice", other).await.len();
            if stored >= 60 { Ok(()) } else { Err(stored) }
        })
        .await;
    }
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    for (other, messages) in &sent {
        check_order(&site.conversation("alice", other, messages.len()).await, messages);
    }
    assert_eq!(site.store.dead_letter_count().await.unwrap(), 0, "a transient fault must not dead-letter");
    first.stop().await;
    second.stop().await;
}

/// The server has one fail point of this name.
pub(crate) static FAIL_POINT: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_costs_nothing() {
    check("broken", doc! { "closeConnection": true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_down_in_the_middle_costs_nothing() {
    check("stepdown", doc! { "errorCode": 11_602, "errorLabels": [] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_majority_costs_nothing() {
    let unfinished =
        doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out" };
    check("majority", doc! { "writeConcernError": unfinished }).await;
}

/// Longer than the write's limit, so that it happens after the consumer has read back and written again.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_late_costs_nothing() {
    check("late", doc! { "blockConnection": true, "blockTimeMS": 3_500 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_a_gap_and_not_a_skip() {
    let site: Site = site("flipped").await;
    let sent = messages("alice", "bob", 30);
    let mut partition = 0;
    for (position, message) in (0..).zip(&sent[..20]) {
        (partition, _) = site.produce(message, position).await;
    }
    let segment = format!("{}-{partition}/00000000000000000000.log", site.kafka.topic);
    let path = servers().await.kafka.data().join(segment);
    let mut bytes = fs::read(&path).unwrap();
    let target = sent[12].content.as_bytes();
    let at = bytes.windows(target.len()).position(|w| w == target).unwrap();
    bytes[at] ^= 0x20;
    fs::write(&path, bytes).unwrap();

    let running = site.consume();
    site.conversation("alice", "bob", 12).await;
    let gap = gap(&site, partition).await;
    assert_eq!((gap.reason, gap.resume_at), (GapReason::Stalled, 20));
    resend(&site, &gap, &sent[12..20]).await;
    for (position, message) in (20..).zip(&sent[20..]) {
        site.produce(message, position).await;
    }
    check_order(&site.conversation("alice", "bob", 30).await, &sent);
    closed(&site).await;
    running.stop().await;
}

/// Every partition has one long write after the other when all must stop.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_stop_together_and_shutdown_does_not_wait_for_one_after_the_other() {
    let site = site_with_app("together").await;
    let admin = mongodb::Client::with_uri_str(servers().await.mongo.uri()).await.unwrap().database("admin");
    let users: Vec<String> = (0..24).map(|n| format!("user{n}")).collect();
    let running = site.consume();
    let mut partitions = BTreeSet::new();
    for user in &users {
        partitions.insert(site.produce(&message("alice", user, "first"), 1).await.0);
    }
    for user in &users {
        site.conversation("alice", user, 1).await;
    }
    let _guard = FAIL_POINT.lock().await;
    let data =
        doc! { "failCommands": ["insert"], "appName": "together", "blockConnection": true, "blockTimeMS": 2_000 };
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data }).await.unwrap();
    let flood = async |user: &String| {
        let sent = messages("alice", user, 1_500);
        join_all(sent.iter().map(|message| site.produce(message, 2))).await;
    };
    join_all(users.iter().map(flood)).await;
    until("a write of each partition", async || {
        let inserts = doc! { "currentOp": 1, "appName": "together", "command.insert": { "$exists": true } };
        let running = admin.run_command(inserts).await.map_err(|e| e.to_string())?;
        let count = running.get_array("inprog").map_err(|e| e.to_string())?.len();
        if count == partitions.len() { Ok(()) } else { Err(format!("{count} of {}", partitions.len())) }
    })
    .await;
    for partition in &partitions {
        let gap = NewGap {
            topic: site.kafka.topic.clone(),
            partition: *partition,
            reason: GapReason::Stalled,
            topic_id: "another".into(),
            resume_at: 0,
            records: 0,
            now_ms: 1,
        };
        site.store.open_gap(gap).await.unwrap();
    }
    site.note("log gap").await;
    let begun = Instant::now();
    until("a note of each partition", async || {
        let count = site.board.notes().iter().filter(|n| n.contains("log gap")).count();
        if count == partitions.len() { Ok(()) } else { Err(count) }
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    running.stop().await;
    let elapsed = begun.elapsed();
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
}
