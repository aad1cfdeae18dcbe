//! `Idempotency-Key`: the same request gets the first message, whatever became of it.

use std::time::Instant;

use futures::future::join_all;
use libtest_mimic::Trial;
use serde_json::Value;
use wiber_tests::client::Call;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, send, tests_at, wait};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        a_repeat_gets_the_first_message,
        equal_keys_at_once_all_get_the_one_message,
        another_request_under_the_key_is_refused,
        equal_fields_make_an_equal_request,
        an_invalid_request_records_no_key,
        quoted_and_bare_are_the_same_key,
        keys_at_below_and_above_their_limits,
        a_key_is_the_senders_own,
        a_key_holds_after_the_message_is_stored_and_freed,
    ]
}

fn keyed(site: &Site, pair: &(String, String), content: &str, key: &str) -> Call {
    site.client.sending(&pair.0, &pair.1, content).header("idempotency-key", key)
}

async fn taken(call: Call) -> Value {
    call.go().await.expect(200).json()
}

async fn a_repeat_gets_the_first_message(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let first = taken(keyed(&site, &pair, "once", &key)).await;
    for _ in 0..3 {
        assert_eq!(taken(keyed(&site, &pair, "once", &key)).await, first);
    }
    let next = site.client.send(&pair.0, &pair.1, "without a key").await;
    assert_ne!(next["messageId"], first["messageId"]);
    let messages = site.client.readable(&pair.0, &pair.1, 2).await;
    assert_eq!(send::contents(&messages), ["once", "without a key"]);
}

async fn equal_keys_at_once_all_get_the_one_message(site: Site) {
    for round in 0..5 {
        let (pair, key) = (names::pair(), names::unique("key"));
        let answers = join_all((0..32).map(|_| taken(keyed(&site, &pair, "at once", &key)))).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "round {round}: {answers:?}");
        let messages = site.client.readable(&pair.0, &pair.1, 1).await;
        assert_eq!(messages[0]["messageId"], answers[0]["messageId"]);
    }
}

async fn another_request_under_the_key_is_refused(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let first = taken(keyed(&site, &pair, "one", &key)).await;
    let other = (pair.0.clone(), names::unique("carol"));
    for call in [keyed(&site, &pair, "two", &key), keyed(&site, &other, "one", &key)] {
        assert_eq!(line(&call.go().await).split(' ').next(), Some("422"));
    }
    assert_eq!(taken(keyed(&site, &pair, "one", &key)).await, first, "the key still stands for the first message");
    site.client.readable(&pair.0, &pair.1, 1).await;
}

async fn equal_fields_make_an_equal_request(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let first = taken(keyed(&site, &pair, "a\u{e9}", &key)).await;
    let respelled =
        format!("{{ \"content\": \"\\u0061\\u00e9\",\n\"toUser\": \"{}\", \"fromUser\": \"{}\" }}", pair.1, pair.0);
    let call = site.client.call("POST", "/messages").header("content-type", "application/json; charset=UTF-8");
    assert_eq!(taken(call.header("idempotency-key", &key).body(respelled)).await, first);
}

async fn an_invalid_request_records_no_key(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    assert_eq!(line(&keyed(&site, &pair, "", &key).go().await), "422 content:too-short");
    assert_eq!(line(&keyed(&site, &pair, "x", &key).body("nonsense").go().await), "400 not-json");
    taken(keyed(&site, &pair, "valid", &key)).await;
}

async fn quoted_and_bare_are_the_same_key(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let first = taken(keyed(&site, &pair, "x", &key)).await;
    assert_eq!(taken(keyed(&site, &pair, "x", &format!("\"{key}\""))).await, first);
}

async fn check_key(site: &Site, key: &str, expected: &str) {
    let answer = keyed(site, &names::pair(), "x", key).go().await;
    assert_eq!(line(&answer), expected, "{key:?}");
}

async fn keys_at_below_and_above_their_limits(site: Site) {
    check_key(&site, "k", "200").await;
    check_key(&site, &"k".repeat(254), "200").await;
    check_key(&site, &"k".repeat(255), "200").await;
    check_key(&site, &"k".repeat(256), "400 bad-idempotency-key").await;
    check_key(&site, &format!("\"{}\"", "k".repeat(255)), "200").await;
    check_key(&site, &format!("\"{}\"", "k".repeat(256)), "400 bad-idempotency-key").await;
    check_key(&site, "!~", "200").await;
    for bad in ["", "\"\"", "two words", "\"two words\"", "\"open", "ké", "tab\tbed"] {
        check_key(&site, bad, "400 bad-idempotency-key").await;
    }
    let twice = keyed(&site, &names::pair(), "x", "one").header("idempotency-key", "two");
    assert_eq!(line(&twice.go().await), "400 bad-idempotency-key");
}

async fn a_key_is_the_senders_own(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let back = (pair.1.clone(), pair.0.clone());
    let one = taken(keyed(&site, &pair, "x", &key)).await;
    let other = taken(keyed(&site, &back, "x", &key)).await;
    assert_ne!(one["messageId"], other["messageId"]);
    site.client.readable(&pair.0, &pair.1, 2).await;
}

async fn a_key_holds_after_the_message_is_stored_and_freed(site: Site) {
    let (pair, key) = (names::pair(), names::unique("key"));
    let first = taken(keyed(&site, &pair, "once", &key)).await;
    site.client.until_state(&send::id(&first), "stored").await;
    if let Some(stack) = &site.stack {
        let since = Instant::now();
        wait::until("the end of the message's row", async || {
            let statistics = stack.statistics().await;
            // Other tests send to this outbox too: a row that is younger than `since` is theirs.
            let younger = u128::try_from(statistics.oldest_age_ms).is_ok_and(|age| age < since.elapsed().as_millis());
            if statistics.messages == 0 || younger { Ok(()) } else { Err(format!("{statistics:?}")) }
        })
        .await;
    }
    assert_eq!(taken(keyed(&site, &pair, "once", &key)).await, first);
    assert_eq!(line(&keyed(&site, &pair, "twice", &key).go().await).split(' ').next(), Some("422"));
    site.client.readable(&pair.0, &pair.1, 1).await;
}
