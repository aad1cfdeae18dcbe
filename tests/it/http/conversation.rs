//! `GET /messages/{user1}/{user2}`: pages in both directions, parameters, links.

use libtest_mimic::Trial;
use serde_json::Value;
use wiber_tests::answer::Answer;
use wiber_tests::client::Client;
use wiber_tests::send::{encode, path, seq};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, shape, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        both_directions_are_one_conversation,
        unknown_users_have_an_empty_one,
        parameters_at_below_and_above_their_limits,
        pages_begin_where_they_were_asked_to,
        links_lead_to_every_message_once,
        the_default_page_has_fifty,
        the_largest_page_has_five_hundred,
        the_query_form_is_the_same,
    ]
}

/// A conversation with `count` messages, all readable.
async fn filled(client: &Client, count: usize) -> (String, String, Vec<Value>) {
    let (alice, bob) = names::pair();
    for n in 1..=count {
        let (from, to) = if n % 2 == 1 { (&alice, &bob) } else { (&bob, &alice) };
        client.send(from, to, &format!("text {n}")).await;
    }
    let messages = client.readable(&alice, &bob, count).await;
    (alice, bob, messages)
}

fn seqs(answer: &Answer) -> Vec<i64> {
    answer.array().iter().map(seq).collect()
}

async fn both_directions_are_one_conversation(site: Site) {
    let (alice, bob) = names::pair();
    let first = site.client.send(&alice, &bob, "to bob").await;
    let second = site.client.send(&bob, &alice, "to alice").await;
    let messages = site.client.readable(&alice, &bob, 2).await;
    assert_eq!(messages, [shape::at_place(&first, 1), shape::at_place(&second, 2)]);
    assert_eq!(site.client.page(&bob, &alice, "").await.expect(200).array(), messages);
}

async fn unknown_users_have_an_empty_one(site: Site) {
    let (alice, bob) = names::pair();
    for query in ["", "?limit=1", "?after=5", "?before=5", "?order=desc"] {
        let answer = site.client.page(&alice, &bob, query).await.expect(200);
        assert_eq!(answer.array(), Vec::<Value>::new());
        assert_eq!(answer.header("link"), None, "{answer}");
    }
}

async fn check(site: &Site, query: &str, expected: &str) {
    let (alice, bob) = names::pair();
    let answer = site.client.page(&alice, &bob, query).await;
    assert_eq!(line(&answer), expected, "{query}");
}

async fn parameters_at_below_and_above_their_limits(site: Site) {
    check(&site, "?limit=0", "422 limit:out-of-range").await;
    check(&site, "?limit=1", "200").await;
    check(&site, "?limit=500", "200").await;
    check(&site, "?limit=501", "422 limit:out-of-range").await;
    for bad in ["", "-1", "+1", "1.0", "x", "99999999999999999999", "%201", "1e2"] {
        check(&site, &format!("?limit={bad}"), "422 limit:out-of-range").await;
    }
    for name in ["offset", "skip", "after"] {
        check(&site, &format!("?{name}=0"), "200").await;
        check(&site, &format!("?{name}=9223372036854775807"), "200").await;
        check(&site, &format!("?{name}=9223372036854775808"), &format!("422 {name}:out-of-range")).await;
        check(&site, &format!("?{name}=-1"), &format!("422 {name}:out-of-range")).await;
        check(&site, &format!("?{name}=0&order=asc"), "200").await;
    }
    check(&site, "?before=1", "200").await;
    check(&site, "?before=-1", "422 before:out-of-range").await;
    check(&site, "?order=asc", "200").await;
    check(&site, "?order=desc", "200").await;
    check(&site, "?order=desc&before=5", "200").await;
    check(&site, "?order=asc&before=5", "200").await;
    check(&site, "?page=1", "422 page:unknown-parameter").await;
    check(&site, "?Limit=1", "422 Limit:unknown-parameter").await;
    check(&site, "?limit=1&limit=1", "422 limit:repeated").await;
    check(&site, "?limit=0&page=1", "422 limit:out-of-range page:unknown-parameter").await;
    check(&site, "?limit=%zz", "400 bad-percent-encoding").await;
    refused(&site, "?order=up").await;
    refused(&site, "?order=DESC").await;
    for query in ["offset=0&skip=0", "offset=0&after=0", "skip=0&after=0", "after=0&before=5", "offset=0&before=5"] {
        refused(&site, &format!("?{query}")).await;
    }
    for name in ["offset", "skip", "after"] {
        refused(&site, &format!("?order=desc&{name}=1")).await;
    }
}

/// A 422 that names something, whatever its code.
async fn refused(site: &Site, query: &str) {
    let (alice, bob) = names::pair();
    let answer = site.client.page(&alice, &bob, query).await;
    let line = line(&answer);
    assert!(line.starts_with("422 ") && line.contains(':'), "{query}: {answer}");
}

async fn pages_begin_where_they_were_asked_to(site: Site) {
    let (alice, bob, messages) = filled(&site.client, 7).await;
    let check = async |query: &str, expected: &[i64]| {
        let answer = site.client.page(&alice, &bob, query).await.expect(200);
        assert_eq!(seqs(&answer), expected, "{query}");
    };
    assert_eq!(messages.iter().map(seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    check("", &[1, 2, 3, 4, 5, 6, 7]).await;
    check("?limit=3", &[1, 2, 3]).await;
    for name in ["offset", "skip", "after"] {
        check(&format!("?limit=3&{name}=0"), &[1, 2, 3]).await;
        check(&format!("?limit=3&{name}=2"), &[3, 4, 5]).await;
        check(&format!("?limit=3&{name}=6"), &[7]).await;
        check(&format!("?limit=3&{name}=7"), &[]).await;
        check(&format!("?limit=3&{name}=1000"), &[]).await;
    }
    // The messages next below, shown in the asked order.
    check("?limit=3&before=6", &[3, 4, 5]).await;
    check("?limit=3&before=6&order=desc", &[5, 4, 3]).await;
    check("?limit=3&before=3", &[1, 2]).await;
    check("?limit=3&before=1", &[]).await;
    check("?limit=3&before=1000", &[5, 6, 7]).await;
    check("?limit=3&order=desc", &[7, 6, 5]).await;
    check("?limit=7&order=desc", &[7, 6, 5, 4, 3, 2, 1]).await;
}

/// The path of `Link: <…>; rel="next"`.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let (target, parameters) = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a link");
    assert!(parameters.replace(' ', "").contains(";rel=\"next\""), "{link}");
    let path = target.find("/messages").expect("a path of this API");
    Some(target[path..].to_owned())
}

async fn follow(site: &Site, first: &str, expected_pages: &[&[i64]]) {
    let mut pages = Vec::new();
    let mut at = Some(first.to_owned());
    while let Some(path) = at {
        let answer = site.client.get(&path).await.expect(200);
        at = next(&answer);
        pages.push(seqs(&answer));
        assert!(pages.len() <= expected_pages.len(), "{first}: {pages:?} and more behind {at:?}");
    }
    assert_eq!(pages, expected_pages, "{first}");
}

async fn links_lead_to_every_message_once(site: Site) {
    let (alice, bob, _) = filled(&site.client, 5).await;
    let path = path(&alice, &bob);
    follow(&site, &format!("{path}?limit=2"), &[&[1, 2], &[3, 4], &[5]]).await;
    follow(&site, &format!("{path}?limit=5"), &[&[1, 2, 3, 4, 5]]).await;
    follow(&site, &format!("{path}?limit=2&offset=1"), &[&[2, 3], &[4, 5]]).await;
    follow(&site, &format!("{path}?limit=2&skip=2"), &[&[3, 4], &[5]]).await;
    follow(&site, &format!("{path}?limit=2&order=desc"), &[&[5, 4], &[3, 2], &[1]]).await;
    follow(&site, &format!("{path}?limit=2&order=desc&before=5"), &[&[4, 3], &[2, 1]]).await;
    follow(&site, &format!("{path}?limit=2&before=5"), &[&[3, 4], &[1, 2]]).await;
    follow(&site, &format!("{path}?limit=1&before=2"), &[&[1]]).await;
    let by_query = format!("/messages/conversation?user1={}&user2={}&limit=3", encode(&alice), encode(&bob));
    follow(&site, &by_query, &[&[1, 2, 3], &[4, 5]]).await;
}

async fn the_default_page_has_fifty(site: Site) {
    let (alice, bob, _) = filled(&site.client, 51).await;
    let answer = site.client.page(&alice, &bob, "").await.expect(200);
    assert_eq!(seqs(&answer), (1..=50).collect::<Vec<_>>());
    assert!(next(&answer).is_some(), "{answer}");
}

async fn the_largest_page_has_five_hundred(site: Site) {
    let (alice, bob) = names::pair();
    let client = &site.client;
    let texts: Vec<String> = (0..501).map(|n| format!("text {n}")).collect();
    for group in texts.chunks(32) {
        futures::future::join_all(group.iter().map(|text| client.send(&alice, &bob, text))).await;
    }
    client.readable(&alice, &bob, 501).await;
    let answer = client.page(&alice, &bob, "?limit=500").await.expect(200);
    assert_eq!(seqs(&answer), (1..=500).collect::<Vec<_>>());
    assert!(next(&answer).is_some(), "{answer}");
}

async fn the_query_form_is_the_same(site: Site) {
    let (alice, bob, messages) = filled(&site.client, 3).await;
    let (one, other) = (encode(&alice), encode(&bob));
    let check = async |query: String, expected: &str| {
        let answer = site.client.get(&format!("/messages/conversation{query}")).await;
        assert_eq!(line(&answer), expected, "{query}");
        answer
    };
    let answer = check(format!("?user1={one}&user2={other}"), "200").await;
    assert_eq!(answer.array(), messages);
    let answer = check(format!("?limit=1&user2={one}&user1={other}&order=desc"), "200").await;
    assert_eq!(answer.array(), messages[2..]);
    check(String::new(), "422 user1:missing user2:missing").await;
    check(format!("?user1={one}"), "422 user2:missing").await;
    check(format!("?user1=&user2={other}"), "422 user1:too-short").await;
    check(format!("?user1={one}&user2={other}&user2={other}"), "422 user2:repeated").await;
    check(format!("?user1={one}&user2={other}&user=x"), "422 user:unknown-parameter").await;
    check(format!("?user1={}&user2={other}", "x".repeat(51)), "422 user1:too-long").await;
}
