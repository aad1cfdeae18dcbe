//! Kafka killed and Kafka frozen, each during sends: accepting goes on, readiness says so, and what was accepted arrives
//! once Kafka is back.

use std::time::Duration;

use libtest_mimic::Trial;
use rand::Rng as _;
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{checker, names, send, servers, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![a_frozen_and_a_killed_kafka_lose_nothing, a_kafka_that_loses_its_sessions_is_used_again]
}

/// The original froze every answer while its Kafka was frozen.
async fn a_frozen_and_a_killed_kafka_lose_nothing() {
    let kafka = servers::disturbable_kafka().await;
    let stack = Plan::new("kafka-down").kafka(&kafka.bootstrap_servers()).start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(100).await;

    kafka.pause().expect("it runs");
    load.progress(200).await;
    says_that_kafka_is_gone(&stack).await;
    kafka.resume().expect("it runs");
    stack.ready().await;
    load.progress(100).await;

    kafka.kill().await;
    load.progress(200).await;
    says_that_kafka_is_gone(&stack).await;
    kafka.start().await.expect("Kafka starts again");
    stack.ready().await;
    load.progress(100).await;
    checker::check(&stack, &load.finish().await).await;
}

/// Frozen beyond the broker's own session, so that partitions are without a leader for a moment and the only broker is
/// not listed: librdkafka may then wait for ever for what is there again.
async fn a_kafka_that_loses_its_sessions_is_used_again() {
    let kafka = servers::disturbable_kafka().await;
    let stack = Plan::new("kafka-flaps").kafka(&kafka.bootstrap_servers()).start().await;
    let load = Load::start(&stack.client, Shape { clients: 4, pace: Duration::from_millis(100), ..Shape::default() });
    let mut draws = names::draws("kafka-flaps");
    for _ in 0..5 {
        load.progress(20).await;
        kafka.pause().expect("it runs");
        // How long the fault lasts, not a wait for anything.
        tokio::time::sleep(Duration::from_millis(draws.random_range(1_500..5_000))).await;
        kafka.resume().expect("it runs");
        let (alice, bob) = names::pair();
        let sent = send::id(&stack.client.send(&alice, &bob, "after a freeze").await);
        stack.client.until_state(&sent, "stored").await;
    }
    checker::check(&stack, &load.finish().await).await;
}

async fn says_that_kafka_is_gone(stack: &Stack) {
    let body = stack.readiness(503, |body| body["kafka"] == "disconnected").await;
    assert_eq!((&body["status"], &body["outbox"]), (&"not ready".into(), &"accepting".into()), "{body}");
    assert_eq!((&body["bridge"], &body["mongodb"]), (&"connected".into(), &"connected".into()), "{body}");
    // Sending works, and so does reading what was stored.
    let _ = stack.client.get("/health/readiness/send").await.expect(200);
    let (alice, bob) = names::pair();
    let sent = send::id(&stack.client.send(&alice, &bob, "to a Kafka that is gone").await);
    let state = stack.client.state(&sent).await.expect(200).json();
    assert_eq!(state["state"], "accepted", "{state}");
    assert!(stack.client.page(&alice, &bob, "").await.expect(200).array().is_empty());
}
