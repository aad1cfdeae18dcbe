//! The bridge gone, and the bridge killed again and again, during sends: nothing is lost, doubled or out of order.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rand::Rng as _;
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{checker, names, send, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        a_bridge_that_is_gone_loses_nothing,
        a_bridge_killed_again_and_again_loses_nothing,
        a_bridge_that_slept_does_no_harm
    ]
}

async fn a_bridge_that_is_gone_loses_nothing() {
    let stack = Plan::new("bridge-gone").start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(100).await;
    stack.bridge().kill().await;
    load.progress(200).await;
    says_that_the_bridge_is_gone(&stack).await;
    stack.bridge().start();
    stack.ready().await;
    load.progress(50).await;
    checker::check(&stack, &load.finish().await).await;
}

async fn says_that_the_bridge_is_gone(stack: &Stack) {
    let body = stack.readiness(503, |body| body["bridge"] == "disconnected").await;
    let expected = [("status", "not ready"), ("outbox", "accepting"), ("kafka", "unknown"), ("mongodb", "unknown")];
    for (member, value) in expected {
        assert_eq!(body[member], value, "{body}");
    }
    let (alice, bob) = names::pair();
    for path in [send::path(&alice, &bob), format!("/messages/user/{alice}"), "/messages/count".to_owned()] {
        let began = Instant::now();
        let answer = stack.client.get(&path).await;
        assert_eq!(answer.problem(503)["status"], 503);
        assert!(began.elapsed() < Duration::from_secs(3), "{path} took {:?}", began.elapsed());
    }
    // What this outbox holds is known without the bridge; what it never held is not.
    let sent = send::id(&stack.client.send(&alice, &bob, "to a bridge that is gone").await);
    let state = stack.client.state(&sent).await.expect(200).json();
    assert_eq!(state["state"], "accepted", "{state}");
    let _ = stack.client.state("msg_1_e10628bb5f1c4d2a9b07").await.problem(503);
    let _ = stack.client.get("/health/readiness/send").await.expect(200);
    let _ = stack.client.get("/health/readiness/fetch").await.expect(503);
}

async fn a_bridge_killed_again_and_again_loses_nothing() {
    // Static membership lets the restarted bridge have its partitions back at once.
    let stack = Plan::new("bridge-killed").setting("WIBER_INSTANCE_ID", "one").start().await;
    let load = Load::start(&stack.client, Shape::default());
    let mut draws = names::draws("bridge-killed");
    for _ in 0..5 {
        load.progress(draws.random_range(20..200)).await;
        stack.bridge().kill().await;
        load.progress(draws.random_range(1..50)).await;
        stack.bridge().start();
        stack.bridge_alive(0).await;
    }
    stack.ready().await;
    checker::check(&stack, &load.finish().await).await;
}

/// Frozen for longer than its lease and its session, then awake: a zombie's late writes do nothing.
async fn a_bridge_that_slept_does_no_harm() {
    let stack = Plan::new("bridge-slept").bridges(2).start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(100).await;
    stack.bridges[0].pause();
    stack.bridge_link.lead_to(stack.bridge_addresses[1]);
    // The other has taken over once a message sent now is stored.
    let (alice, bob) = names::pair();
    let sent = send::id(&stack.client.send(&alice, &bob, "while the first one sleeps").await);
    stack.client.until_state(&sent, "stored").await;
    stack.bridges[0].resume();
    load.progress(100).await;
    checker::check(&stack, &load.finish().await).await;
}
