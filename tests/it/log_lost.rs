//! Kafka loses what it acknowledged: the outbox, which frees nothing before it is stored, fills the log again; the gap is
//! named, and passed without help.

use std::time::Instant;

use libtest_mimic::Trial;
use serde_json::json;
use wiber_model::record::PARTITIONS;
use wiber_model::{Conversation, partition_of};
use wiber_tests::load::{Entry, Load, Outcome, Shape};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{checker, kafka, names, send, servers, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        a_log_cut_above_what_is_stored_is_filled_again,
        a_recreated_topic_is_filled_again,
        a_log_that_lost_its_end_and_grew_again_is_filled_again
    ]
}

/// Messages that are stored, then messages that are published and cannot be stored.
async fn published_only(stack: &Stack) -> Vec<Entry> {
    let (alice, bob) = names::pair();
    let first = send::id(&stack.client.send(&alice, &bob, "the first one").await);
    stack.client.until_state(&first, "stored").await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(200).await;
    stack.mongo_link.cut();
    load.progress(200).await;
    let log = load.finish().await;
    // One relay publishes in order, so all before this message are published too.
    let last = send::id(&stack.client.send(&alice, &bob, "the last one").await);
    stack.client.until_state(&last, "published").await;
    log
}

async fn arrives_without_help(stack: &Stack, log: Vec<Entry>) {
    checker::check_without_kafka(stack, &log).await;
    assert!(stack.bridge().log().contains("gap in the log"), "the gap is named:\n{}", stack.bridge().log_tail());
    stack.ready().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(50).await;
    let more: Vec<Entry> = log.into_iter().chain(load.finish().await).collect();
    checker::check_without_kafka(stack, &more).await;
}

async fn a_log_cut_above_what_is_stored_is_filled_again() {
    let stack = Plan::new("log-cut").start().await;
    let log = published_only(&stack).await;
    stack.bridge().kill().await;
    kafka::delete_records(&stack.kafka, &stack.topic).await;
    stack.mongo_link.heal();
    stack.bridge().start();
    arrives_without_help(&stack, log).await;
}

async fn a_recreated_topic_is_filled_again() {
    let stack = Plan::new("recreated").start().await;
    let log = published_only(&stack).await;
    kafka::delete(&stack.kafka, &stack.topic).await;
    kafka::create(&stack.kafka, &stack.topic, PARTITIONS).await;
    stack.mongo_link.heal();
    arrives_without_help(&stack, log).await;
}

/// Messages of one conversation, one after the other.
async fn sent(stack: &Stack, (from, to): &(String, String), count: usize) -> Vec<Entry> {
    let mut log = Vec::new();
    for _ in 0..count {
        let (content, started) = (names::unique("in order"), Instant::now());
        let id = send::id(&stack.client.send(from, to, &content).await);
        let (from, to, outcome) = (from.clone(), to.clone(), Outcome::Ok(id));
        log.push(Entry { from, to, content, batch: None, outcome, started, ended: Instant::now() });
    }
    log
}

fn last(log: &[Entry]) -> &str {
    match &log[log.len() - 1].outcome {
        Outcome::Ok(id) => id,
        other => panic!("{other:?}"),
    }
}

/// A broker does not fsync: a loss of power takes the end of its log. New records then lie where the group has been already,
/// and it would pass over them.
async fn a_log_that_lost_its_end_and_grew_again_is_filled_again() {
    let kafka = servers::disturbable_kafka().await;
    let stack = Plan::new("log-end").kafka(&kafka.bootstrap_servers()).start().await;
    let pair = names::pair();
    let mut log = sent(&stack, &pair, 40).await;
    stack.client.until_state(last(&log), "stored").await;
    stack.bridge().terminate(std::time::Duration::from_secs(20)).await;
    kafka.kill().await;
    let partition = partition_of(Conversation::of(&pair.0, &pair.1).as_str().as_bytes());
    let segment = kafka.data().join(format!("{}-{partition}/00000000000000000000.log", stack.topic));
    let file = std::fs::File::options().write(true).open(&segment).expect("the partition has a log");
    file.set_len(file.metadata().expect("it has a length").len() / 2).expect("it can be cut");
    kafka.start().await.expect("Kafka starts with what is left of its log");
    stack.mongo_link.cut();
    stack.bridge().start();
    log.extend(sent(&stack, &pair, 80).await);
    stack.client.until_state(last(&log), "published").await;
    stack.mongo_link.heal();
    checker::check_without_kafka(&stack, &log).await;
    assert!(stack.bridge().log().contains("gap in the log"), "the gap is named:\n{}", stack.bridge().log_tail());
    stack.ready().await;
    // Some records are gone for good; what was passed over and came again later is no other order.
    let report = crate::wiber::json(&stack, &["verify"], 1).await;
    assert_eq!((&report["counts"]["misordered"], &report["counts"]["altered"]), (&json!(0), &json!(0)), "{report:#}");
}
