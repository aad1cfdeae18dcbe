//! The two tokens: who may drain an outbox, and who may ask the bridge.

use libtest_mimic::Trial;
use wiber_model::{outbox, query};
use wiber_tests::answer::Answer;
use wiber_tests::client::Client;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        without_a_token_the_outbox_refuses_everybody,
        two_outbox_tokens_are_valid_during_a_rotation,
        the_query_api_asks_for_its_token,
        without_a_token_the_query_api_refuses_everybody,
        functions_with_another_query_token_answer_503,
    ]
}

async fn statistics(stack: &Stack, path: &str, authorization: Option<&str>) -> Answer {
    let call = stack.client.call("GET", path);
    authorization.into_iter().fold(call, |call, value| call.header("authorization", value)).go().await
}

async fn without_a_token_the_outbox_refuses_everybody() {
    let stack = Plan::new("no-token").bridges(0).variable("outbox_token", "").start_unready().await;
    for path in [outbox::STATISTICS, outbox::LEASE, "/internal/", "/internal/unknown"] {
        for authorization in [None, Some("Bearer "), Some("Bearer"), Some("Bearer x")] {
            let answer = statistics(&stack, path, authorization).await;
            assert_eq!(answer.problem(403)["code"], "forbidden", "{authorization:?}");
        }
    }
}

async fn two_outbox_tokens_are_valid_during_a_rotation() {
    let plan = Plan::new("rotation").bridges(0);
    let plan = plan.variable("outbox_token", "new-one").variable("outbox_token_previous", "old-one");
    let stack = plan.start_unready().await;
    let check = async |authorization: Option<&str>, expected: u16| {
        let answer = statistics(&stack, outbox::STATISTICS, authorization).await;
        assert_eq!(answer.status, expected, "{authorization:?}: {answer}");
        if expected == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{answer}");
        }
    };
    check(Some("Bearer new-one"), 200).await;
    check(Some("Bearer old-one"), 200).await;
    check(Some("bearer old-one"), 200).await;
    for wrong in
        [None, Some("Bearer"), Some("Bearer "), Some("Bearer new-one2"), Some("Bearer new-on"), Some("new-one")]
    {
        check(wrong, 401).await;
    }
    let unknown = statistics(&stack, "/internal/unknown", Some("Bearer new-one")).await;
    assert_eq!(unknown.problem(404)["code"], "not-found");
    let status = stack.client.call("GET", outbox::LEASE).bearer("new-one").go().await;
    assert_eq!(status.problem(405)["code"], "method-not-allowed");
}

async fn check_query(bridge: &Client, path: &str, authorization: Option<&str>, expected: u16) {
    let call = bridge.call("GET", path);
    let answer = authorization.into_iter().fold(call, |call, value| call.header("authorization", value)).go().await;
    assert_eq!(answer.status, expected, "{authorization:?}: {answer}");
    if expected == 401 {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{answer}");
    }
}

async fn the_query_api_asks_for_its_token() {
    let stack = Plan::new("query-token").start().await;
    let bridge = stack.bridge_client(0);
    let right = format!("Bearer {}", stack.query_token);
    for path in [query::COUNT, query::CONVERSATION, query::TIMELINE, query::MESSAGE, query::STATUS] {
        for wrong in [None, Some("Bearer"), Some("Bearer "), Some("Bearer x"), Some(right[..right.len() - 1].trim())] {
            check_query(&bridge, path, wrong, 401).await;
        }
    }
    check_query(&bridge, query::COUNT, Some(&right), 200).await;
    check_query(&bridge, query::STATUS, Some(&right), 200).await;
    check_query(&bridge, "/health/liveness", None, 200).await;
    check_query(&bridge, "/metrics", None, 200).await;
}

async fn without_a_token_the_query_api_refuses_everybody() {
    let plan = Plan::new("no-query-token").variable("query_token", "").setting("WIBER_QUERY_TOKEN", "");
    let stack = plan.start_unready().await;
    let bridge = stack.bridge_client(0);
    for path in [query::COUNT, query::CONVERSATION, query::TIMELINE, query::MESSAGE, query::STATUS] {
        for authorization in [None, Some("Bearer"), Some("Bearer x")] {
            check_query(&bridge, path, authorization, 403).await;
        }
    }
    let _ = stack.client.get("/messages/count").await.problem(503);
}

/// A wrong token behind the functions is a dependency that does not answer, not the caller's fault.
async fn functions_with_another_query_token_answer_503() {
    let stack = Plan::new("other-query-token").variable("query_token", "another").start_unready().await;
    let (alice, bob) = names::pair();
    let _ = stack.client.page(&alice, &bob, "").await.problem(503);
    let _ = stack.client.get("/messages/id/msg_1_e10628bb5f1c4d2a9b07").await.problem(503);
    let readiness = stack.client.get("/health/readiness").await.expect(503).json();
    assert_ne!(readiness["status"], "ready", "{readiness}");
    let _ = stack.client.sending(&alice, &bob, "x").go().await.expect(200);
}
