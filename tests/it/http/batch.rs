//! `POST /messages/batch`: all durable or none, in order, under one key.

use futures::future::join_all;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use wiber_tests::client::Call;
use wiber_tests::send::contents;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, shape, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        the_answer_has_the_messages_in_their_order,
        a_batch_of_many_conversations_is_read_in_order,
        numbers_of_messages_at_below_and_above_their_limits,
        every_message_that_is_wrong_is_named_and_none_is_taken,
        bodies_at_and_above_their_limit,
        other_methods_are_refused,
        a_repeat_gets_the_first_answer,
        equal_keys_at_once_all_get_the_one_answer,
        another_request_under_the_key_is_refused,
        a_key_needs_one_sender,
    ]
}

fn message(pair: &(String, String), content: impl Into<String>) -> Value {
    json!({"fromUser": pair.0, "toUser": pair.1, "content": content.into()})
}

fn numbered(pair: &(String, String), count: usize) -> Vec<Value> {
    (0..count).map(|n| message(pair, n.to_string())).collect()
}

fn batch(site: &Site, messages: &[Value]) -> Call {
    site.client.call("POST", "/messages/batch").json(&json!(messages))
}

async fn taken(call: Call) -> Vec<Value> {
    call.go().await.expect(200).array()
}

async fn the_answer_has_the_messages_in_their_order(site: Site) {
    let (pair, back) = (names::pair(), names::unique("carol"));
    let back = (back, pair.0.clone());
    let answer = batch(&site, &[message(&pair, "one"), message(&back, "two"), message(&pair, "three")]).go().await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let messages = answer.array();
    shape::check_accepted(&messages[0], &pair.0, &pair.1, "one");
    shape::check_accepted(&messages[1], &back.0, &back.1, "two");
    shape::check_accepted(&messages[2], &pair.0, &pair.1, "three");
    let read = site.client.readable(&pair.0, &pair.1, 2).await;
    assert_eq!(read, [shape::at_place(&messages[0], 1), shape::at_place(&messages[2], 2)]);
}

async fn a_batch_of_many_conversations_is_read_in_order(site: Site) {
    let pairs: Vec<_> = (0..10).map(|_| names::pair()).collect();
    let messages: Vec<Value> = (0..1_000).map(|n| message(&pairs[n % 10], (n / 10).to_string())).collect();
    let answers = taken(batch(&site, &messages)).await;
    assert_eq!(contents(&answers), contents(&messages));
    let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    for (one, other) in &pairs {
        assert_eq!(contents(&site.client.readable(one, other, 100).await), expected);
    }
}

async fn check(site: &Site, body: impl Into<String>, expected: &str) {
    let body = body.into();
    let shown: String = body.chars().take(120).collect();
    let call = site.client.call("POST", "/messages/batch").header("content-type", "application/json").body(body);
    assert_eq!(line(&call.go().await), expected, "{shown}");
}

async fn numbers_of_messages_at_below_and_above_their_limits(site: Site) {
    let pair = names::pair();
    for (count, expected) in
        [(0, "422 body:too-short"), (1, "200"), (999, "200"), (1_000, "200"), (1_001, "422 body:too-long")]
    {
        check(&site, json!(numbered(&pair, count)).to_string(), expected).await;
    }
    site.client.readable(&pair.0, &pair.1, 2_000).await;
}

async fn every_message_that_is_wrong_is_named_and_none_is_taken(site: Site) {
    let pair = names::pair();
    let messages =
        [message(&pair, "good"), json!(1), message(&pair, ""), json!({"toUser": "x"}), message(&pair, "too")];
    let expected = "422 [1]:wrong-type [2].content:too-short [3].content:missing [3].fromUser:missing";
    check(&site, json!(messages).to_string(), expected).await;
    check(&site, message(&pair, "alone").to_string(), "422 body:wrong-type").await;
    check(&site, r#"[{"fromUser":"#, "400 not-json").await;
    let last = site.client.send(&pair.0, &pair.1, "last").await;
    assert_eq!(site.client.readable(&pair.0, &pair.1, 1).await, [shape::at_place(&last, 1)]);
}

async fn bodies_at_and_above_their_limit(site: Site) {
    const BYTES_MAX: usize = 8 * 1024 * 1024;
    let pair = names::pair();
    // The longest messages there are, then white space.
    let body =
        json!((0..410).map(|n| message(&pair, format!("{n:0>5}{}", "\u{1F600}".repeat(4_995)))).collect::<Vec<_>>());
    let body = body.to_string();
    let padded = |bytes: usize| body.clone() + &" ".repeat(bytes - body.len());
    check(&site, padded(BYTES_MAX + 1), "413 body-too-large").await;
    check(&site, padded(BYTES_MAX), "200").await;
    let read = site.client.readable(&pair.0, &pair.1, 410).await;
    assert!(contents(&read).iter().enumerate().all(|(n, text)| text.starts_with(&format!("{n:0>5}\u{1F600}"))));
}

async fn other_methods_are_refused(site: Site) {
    let answer = site.client.get("/messages/batch").await;
    assert_eq!((line(&answer).as_str(), answer.header("allow")), ("405 method-not-allowed", Some("POST, OPTIONS")));
    let text = site.client.call("POST", "/messages/batch").header("content-type", "text/plain").body("[]");
    assert_eq!(line(&text.go().await), "415 unsupported-media-type");
}

async fn a_repeat_gets_the_first_answer(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let keyed = |messages: &[Value]| batch(&site, messages).header("idempotency-key", &key);
    let first = taken(keyed(&numbered(&pair, 30))).await;
    site.client.readable(&pair.0, &pair.1, 30).await;
    for _ in 0..3 {
        assert_eq!(taken(keyed(&numbered(&pair, 30))).await, first);
    }
    site.client.readable(&pair.0, &pair.1, 30).await;
}

async fn equal_keys_at_once_all_get_the_one_answer(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let keyed = || taken(batch(&site, &numbered(&pair, 20)).header("idempotency-key", &key));
    let answers = join_all((0..16).map(|_| keyed())).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    site.client.readable(&pair.0, &pair.1, 20).await;
}

async fn another_request_under_the_key_is_refused(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let keyed = |call: Call| call.header("idempotency-key", &key);
    let first = taken(keyed(batch(&site, &numbered(&pair, 2)))).await;
    for count in [1, 3] {
        let answer = keyed(batch(&site, &numbered(&pair, count))).go().await;
        assert_eq!(line(&answer), "422 Idempotency-Key:key-reused");
    }
    let single = keyed(site.client.sending(&pair.0, &pair.1, "0")).go().await;
    assert_eq!(line(&single), "422 Idempotency-Key:key-reused");
    assert_eq!(taken(keyed(batch(&site, &numbered(&pair, 2)))).await, first);
    site.client.readable(&pair.0, &pair.1, 2).await;
}

async fn a_key_needs_one_sender(site: Site) {
    let (pair, other) = (names::pair(), names::pair());
    let messages = [message(&pair, "x"), message(&other, "x")];
    let keyed = batch(&site, &messages).header("idempotency-key", &names::unique("key"));
    assert_eq!(line(&keyed.go().await), "422 [1].fromUser:another-sender");
    assert_eq!(taken(batch(&site, &messages)).await.len(), 2);
}
