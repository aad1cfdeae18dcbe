//! `POST /messages`: what is taken, and every rule that a body can break.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, shape, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        the_answer_is_the_message,
        a_message_to_oneself_is_taken,
        names_at_below_and_above_their_limits,
        names_of_the_wrong_shape,
        contents_at_below_and_above_their_limits,
        fields_missing_unknown_repeated_or_of_another_type,
        every_violation_is_named_at_once,
    ]
}

async fn the_answer_is_the_message(site: Site) {
    let (alice, bob) = names::pair();
    let answer = site.client.sending(&alice, &bob, "Hello!").go().await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    shape::check_accepted(&answer.json(), &alice, &bob, "Hello!");
}

async fn a_message_to_oneself_is_taken(site: Site) {
    let alice = names::unique("alice");
    let message = site.client.send(&alice, &alice, "note").await;
    assert_eq!(site.client.readable(&alice, &alice, 1).await, [shape::at_place(&message, 1)]);
}

async fn check(site: &Site, body: impl Into<String>, expected: &str) {
    let body = body.into();
    let shown: String = body.chars().take(120).collect();
    let call = site.client.call("POST", "/messages").header("content-type", "application/json").body(body);
    assert_eq!(line(&call.go().await), expected, "{shown}");
}

async fn check_name(site: &Site, name: &str, expected: &str) {
    let other = names::unique("other");
    let both = |code: &str| (format!("422 fromUser:{code}"), format!("422 toUser:{code}"));
    let (as_sender, as_receiver) = if expected == "ok" { ("200".into(), "200".into()) } else { both(expected) };
    check(site, json!({"fromUser": name, "toUser": other, "content": "x"}).to_string(), &as_sender).await;
    check(site, json!({"fromUser": other, "toUser": name, "content": "x"}).to_string(), &as_receiver).await;
}

/// A fresh name of so many characters, each as wide as `fill`.
fn wide(fill: char, characters: usize) -> String {
    let start = names::unique("n");
    let rest = characters - start.chars().count();
    start + &fill.to_string().repeat(rest)
}

async fn names_at_below_and_above_their_limits(site: Site) {
    check_name(&site, "", "too-short").await;
    check_name(&site, "a", "ok").await;
    for fill in ['a', 'é', '\u{1F600}'] {
        check_name(&site, &wide(fill, 49), "ok").await;
        check_name(&site, &wide(fill, 50), "ok").await;
        check_name(&site, &wide(fill, 51), "too-long").await;
    }
}

async fn names_of_the_wrong_shape(site: Site) {
    check_name(&site, " a", "white-space").await;
    check_name(&site, "a ", "white-space").await;
    check_name(&site, "a\u{3000}", "white-space").await;
    check_name(&site, "a\u{0}b", "forbidden-character").await;
    check_name(&site, "a\u{7f}b", "forbidden-character").await;
    check_name(&site, "a\u{85}b", "forbidden-character").await;
    check_name(&site, "a\u{ad}b", "forbidden-character").await;
    check_name(&site, "a\u{200b}b", "forbidden-character").await;
    check_name(&site, "a\u{202e}b", "forbidden-character").await;
    check_name(&site, "a\u{2028}b", "forbidden-character").await;
    check_name(&site, "a\u{2029}b", "forbidden-character").await;
    check_name(&site, ".", "dot-segment").await;
    check_name(&site, "..", "dot-segment").await;
    check_name(&site, "...", "ok").await;
    check_name(&site, "e\u{301}", "not-nfc").await;
    check_name(&site, "\u{212b}", "not-nfc").await;
    check_name(&site, "a b", "ok").await;
}

async fn check_content(site: &Site, content: &str, expected: &str) {
    let (alice, bob) = names::pair();
    check(site, json!({"fromUser": alice, "toUser": bob, "content": content}).to_string(), expected).await;
}

async fn contents_at_below_and_above_their_limits(site: Site) {
    check_content(&site, "", "422 content:too-short").await;
    check_content(&site, "\0", "200").await;
    check_content(&site, " \n\u{FEFF}\u{10FFFF}", "200").await;
    for fill in ['a', 'é', '\u{1F600}'] {
        check_content(&site, &fill.to_string().repeat(4_999), "200").await;
        check_content(&site, &fill.to_string().repeat(5_000), "200").await;
        check_content(&site, &fill.to_string().repeat(5_001), "422 content:too-long").await;
    }
}

async fn fields_missing_unknown_repeated_or_of_another_type(site: Site) {
    check(&site, "{}", "422 content:missing fromUser:missing toUser:missing").await;
    check(&site, r#"{"fromUser":"a","toUser":"b"}"#, "422 content:missing").await;
    check(&site, r#"{"fromUser":"a","toUser":"b","content":"c","seq":1}"#, "422 seq:unknown-field").await;
    check(&site, r#"{"fromUser":"a","toUser":"b","content":"c","fromuser":"a"}"#, "422 fromuser:unknown-field").await;
    check(&site, r#"{"fromUser":"a","fromUser":"a","toUser":"b","content":"c"}"#, "422 fromUser:repeated").await;
    check(&site, r#"{"fromUser":"a","from\u0055ser":"a","toUser":"b","content":"c"}"#, "422 fromUser:repeated").await;
    for value in ["1", "null", "true", "[]", "{}", "[\"a\"]"] {
        let body = format!(r#"{{"fromUser":{value},"toUser":"b","content":"c"}}"#);
        check(&site, body, "422 fromUser:wrong-type").await;
    }
    for body in ["[]", "null", "1", "\"text\"", r#"[{"fromUser":"a","toUser":"b","content":"c"}]"#] {
        check(&site, body, "422 body:wrong-type").await;
    }
}

async fn every_violation_is_named_at_once(site: Site) {
    let body = json!({"fromUser": " a", "toUser": "b".repeat(51), "content": Value::Null, "extra": 1, "more": 2});
    let expected = "422 content:wrong-type extra:unknown-field fromUser:white-space more:unknown-field toUser:too-long";
    check(&site, body.to_string(), expected).await;
}
