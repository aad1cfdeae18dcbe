//! `GET /messages/count`.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use wiber_tests::send::encode;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; a_users_a_conversations_and_all, parameters]
}

async fn count(site: &Site, query: &str) -> Value {
    site.client.get(&format!("/messages/count{query}")).await.expect(200).json()
}

async fn a_users_a_conversations_and_all(site: Site) {
    let (alice, bob) = names::pair();
    let carol = names::unique("carol");
    let (a, b, c) = (encode(&alice), encode(&bob), encode(&carol));
    let one = |count: i64, user: &str| json!({"count": count, "user1": user, "user2": null});
    let two = |count: i64, user1: &str, user2: &str| json!({"count": count, "user1": user1, "user2": user2});
    assert_eq!(count(&site, &format!("?user1={a}")).await, one(0, &alice));
    assert_eq!(count(&site, &format!("?user1={a}&user2={b}")).await, two(0, &alice, &bob));

    for (from, to) in [(&alice, &bob), (&bob, &alice), (&alice, &carol), (&alice, &alice)] {
        site.client.send(from, to, "x").await;
    }
    site.client.readable(&alice, &bob, 2).await;
    site.client.readable(&alice, &carol, 1).await;
    site.client.readable(&alice, &alice, 1).await;
    assert_eq!(count(&site, &format!("?user1={a}")).await, one(4, &alice));
    assert_eq!(count(&site, &format!("?user1={b}")).await, one(2, &bob));
    assert_eq!(count(&site, &format!("?user1={a}&user2={b}")).await, two(2, &alice, &bob));
    assert_eq!(count(&site, &format!("?user2={a}&user1={b}")).await, two(2, &bob, &alice));
    assert_eq!(count(&site, &format!("?user1={a}&user2={c}")).await, two(1, &alice, &carol));
    assert_eq!(count(&site, &format!("?user1={a}&user2={a}")).await, two(1, &alice, &alice));
    assert_eq!(count(&site, &format!("?user1={b}&user2={c}")).await, two(0, &bob, &carol));

    let all = count(&site, "").await;
    assert!(all["count"].as_u64().is_some_and(|count| count >= 4), "{all}");
    assert_eq!(all, json!({"count": all["count"], "user1": null, "user2": null}));
}

async fn check(site: &Site, query: &str, expected: &str) {
    let answer = site.client.get(&format!("/messages/count{query}")).await;
    assert_eq!(line(&answer), expected, "{query}");
}

async fn parameters(site: Site) {
    check(&site, "?user1=", "422 user1:too-short").await;
    check(&site, "?user1=a&user1=a", "422 user1:repeated").await;
    check(&site, "?limit=1", "422 limit:unknown-parameter").await;
    check(&site, &format!("?user1=a&user2={}", "x".repeat(51)), "422 user2:too-long").await;
    check(&site, "?user1=%", "400 bad-percent-encoding").await;
    let alone = site.client.get("/messages/count?user2=a").await;
    assert!(line(&alone).starts_with("422 user"), "{alone}");
}
