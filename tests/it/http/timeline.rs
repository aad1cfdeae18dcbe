//! `GET /messages/user/{username}`: sent and received, newest first by (timestamp, id).

use libtest_mimic::Trial;
use serde_json::Value;
use wiber_model::MessageId;
use wiber_tests::send::{encode, id};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        sent_and_received_newest_first,
        before_pages_without_skipping_or_repeating,
        before_need_not_exist,
        an_unknown_user_has_an_empty_one,
        parameters_at_below_and_above_their_limits,
        the_default_page_has_a_hundred,
    ]
}

/// The order of a timeline: by the id's milliseconds, then the id as text, falling.
fn rank(message: &Value) -> (i64, String) {
    let text = id(message);
    (MessageId::parse(&text).expect("an id").millis(), text)
}

/// `count` messages of one user, sent or received, all readable, newest first.
async fn filled(site: &Site, count: usize) -> (String, Vec<Value>) {
    let alice = names::unique("alice");
    let others: Vec<String> = (0..3).map(|_| names::unique("other")).collect();
    let mut last = vec![0; others.len()];
    for n in 0..count {
        let other = &others[n % others.len()];
        let (from, to) = if n % 2 == 0 { (&alice, other) } else { (other, &alice) };
        site.client.send(from, to, &format!("text {n}")).await;
        last[n % others.len()] += 1;
    }
    let mut all = Vec::new();
    for (other, sent) in others.iter().zip(last) {
        all.extend(site.client.readable(&alice, other, sent).await);
    }
    all.sort_by_key(rank);
    all.reverse();
    (alice, all)
}

async fn timeline(site: &Site, user: &str, query: &str) -> Vec<Value> {
    site.client.get(&format!("/messages/user/{}{query}", encode(user))).await.expect(200).array()
}

async fn sent_and_received_newest_first(site: Site) {
    let (alice, all) = filled(&site, 9).await;
    assert_eq!(timeline(&site, &alice, "").await, all);
    assert_eq!(timeline(&site, &alice, "?limit=4").await, all[..4]);
    let by_query = site.client.get(&format!("/messages/timeline?user={}&limit=4", encode(&alice))).await.expect(200);
    assert_eq!(by_query.array(), all[..4]);
    let own = names::unique("own");
    site.client.send(&own, &own, "to oneself").await;
    site.client.readable(&own, &own, 1).await;
    assert_eq!(timeline(&site, &own, "").await.len(), 1, "a message to oneself stands once");
}

async fn before_pages_without_skipping_or_repeating(site: Site) {
    let (alice, all) = filled(&site, 7).await;
    let mut read = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = timeline(&site, &alice, &query).await;
        let Some(last) = page.last() else { break };
        query = format!("?limit=3&before={}", id(last));
        read.extend(page);
        // What arrives meanwhile is newer than every page still to come.
        site.client.send(&alice, &alice, "meanwhile").await;
    }
    assert_eq!(read, all);
}

async fn before_need_not_exist(site: Site) {
    let (alice, all) = filled(&site, 3).await;
    let (millis, _) = rank(&all[1]);
    // No random part is all zero or all f, so these lie just below and just above the second message's instant.
    let below = MessageId::new(millis, [0; 10]);
    let above = MessageId::new(millis + 1, [0; 10]);
    let older = |limit: &MessageId| {
        let limit = (limit.millis(), limit.as_str().to_owned());
        all.iter().filter(|message| rank(message) < limit).cloned().collect::<Vec<_>>()
    };
    assert_eq!(timeline(&site, &alice, &format!("?before={below}")).await, older(&below));
    assert_eq!(timeline(&site, &alice, &format!("?before={above}")).await, older(&above));
    let oldest = MessageId::new(1, [0; 10]);
    assert_eq!(timeline(&site, &alice, &format!("?before={oldest}")).await, Vec::<Value>::new());
}

async fn an_unknown_user_has_an_empty_one(site: Site) {
    let nobody = names::unique("nobody");
    assert_eq!(timeline(&site, &nobody, "").await, Vec::<Value>::new());
    assert_eq!(timeline(&site, &nobody, "?limit=500").await, Vec::<Value>::new());
}

async fn check(site: &Site, query: &str, expected: &str) {
    let answer = site.client.get(&format!("/messages/user/{}{query}", names::unique("nobody"))).await;
    assert_eq!(line(&answer), expected, "{query}");
}

async fn parameters_at_below_and_above_their_limits(site: Site) {
    check(&site, "?limit=0", "422 limit:out-of-range").await;
    check(&site, "?limit=1", "200").await;
    check(&site, "?limit=500", "200").await;
    check(&site, "?limit=501", "422 limit:out-of-range").await;
    check(&site, "?limit=x", "422 limit:out-of-range").await;
    check(&site, "?limit=1&limit=1", "422 limit:repeated").await;
    check(&site, "?offset=1", "422 offset:unknown-parameter").await;
    check(&site, "?user=x", "422 user:unknown-parameter").await;
    check(&site, "?before=msg_1_e10628bb5f1c4d2a9b07", "200").await;
    for bad in ["", "5", "msg_1", "msg_1_E10628BB5F1C4D2A9B07"] {
        let answer = site.client.get(&format!("/messages/user/x?before={bad}")).await;
        assert!(line(&answer).starts_with("422 before:"), "{answer}");
    }
    let missing = site.client.get("/messages/timeline").await;
    assert_eq!(line(&missing), "422 user:missing");
    let long = site.client.get(&format!("/messages/user/{}", "x".repeat(51))).await;
    assert!(line(&long).starts_with("422 ") && line(&long).ends_with(":too-long"), "{long}");
}

async fn the_default_page_has_a_hundred(site: Site) {
    let (alice, all) = filled(&site, 101).await;
    assert_eq!(timeline(&site, &alice, "").await, all[..100]);
}
