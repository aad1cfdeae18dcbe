//! Kafka loses what it acknowledged: the outbox, which frees nothing before it is stored, fills the log again; the gap is
//! named, and passed without help.

use libtest_mimic::Trial;
use wiber_model::record::PARTITIONS;
use wiber_tests::load::{Entry, Load, Shape};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{checker, kafka, names, send, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![a_log_cut_above_what_is_stored_is_filled_again, a_recreated_topic_is_filled_again]
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
