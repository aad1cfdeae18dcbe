//! MongoDB unreachable and MongoDB hanging, each during sends: accepting and publishing go on, reads answer 503 within
//! three seconds and never an empty list, and what was accepted arrives once MongoDB is back.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;
use wiber_tests::load::{Load, Shape};
use wiber_tests::send::path;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{checker, names, send, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![an_unreachable_mongodb_loses_nothing, a_hanging_mongodb_holds_up_no_answer]
}

/// Design §2: readiness and every read.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

async fn an_unreachable_mongodb_loses_nothing() {
    let stack = Plan::new("mongodb-cut").start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(100).await;
    stack.mongo_link.cut();
    load.progress(200).await;
    says_that_mongodb_is_gone(&stack).await;
    goes_on_publishing(&stack).await;
    stack.mongo_link.heal();
    stack.ready().await;
    load.progress(50).await;
    checker::check(&stack, &load.finish().await).await;
}

async fn a_hanging_mongodb_holds_up_no_answer() {
    let stack = Plan::new("mongodb-hangs").start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(100).await;
    stack.mongo_link.pause();
    load.progress(200).await;
    says_that_mongodb_is_gone(&stack).await;
    goes_on_publishing(&stack).await;
    stack.mongo_link.heal();
    stack.ready().await;
    checker::check(&stack, &load.finish().await).await;
}

async fn says_that_mongodb_is_gone(stack: &Stack) {
    let body = stack.readiness(503, |body| body["mongodb"] == "disconnected").await;
    let expected = [("status", "not ready"), ("outbox", "accepting"), ("bridge", "connected"), ("kafka", "connected")];
    for (member, value) in expected {
        assert_eq!(body[member], value, "{body}");
    }
    let (alice, bob) = names::pair();
    let reads = [
        path(&alice, &bob),
        format!("{}?order=desc&before=5", path(&alice, &bob)),
        format!("/messages/user/{alice}"),
        format!("/messages/conversation?user1={alice}&user2={bob}"),
        format!("/messages/timeline?user={alice}"),
        "/messages/count".to_owned(),
        format!("/messages/count?user1={alice}"),
        format!("/messages/count?user1={alice}&user2={bob}"),
        "/messages/id/msg_1_e10628bb5f1c4d2a9b07".to_owned(),
        "/health/readiness".to_owned(),
        "/health/readiness/fetch".to_owned(),
    ];
    for read in &reads {
        let began = Instant::now();
        let answer = stack.client.get(read).await;
        let took = began.elapsed();
        assert_eq!(answer.status, 503, "{answer}");
        assert!(took < ANSWER_LIMIT, "{read} took {took:?}");
        if read.starts_with("/messages") {
            assert!(answer.header("retry-after").is_some(), "{answer}");
            leaks_nothing(&answer.problem(503));
        }
    }
    let _ = stack.client.get("/health/readiness/send").await.expect(200);
}

/// A problem document tells nothing of what stands behind: no address, no driver's text.
fn leaks_nothing(problem: &Value) {
    let text = problem.to_string().to_lowercase();
    for word in ["127.0.0.1", "mongodb://", "topology", "server selection", "hyper", "panicked", "error {"] {
        assert!(!text.contains(word), "{problem}");
    }
}

async fn goes_on_publishing(stack: &Stack) {
    let (alice, bob) = names::pair();
    let sent = send::id(&stack.client.send(&alice, &bob, "to a MongoDB that is gone").await);
    let state = stack.client.until_state(&sent, "published").await;
    assert_eq!(state["messageId"], sent.as_str(), "{state}");
}
