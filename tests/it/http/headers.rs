//! Headers of answers: the request's id, no CORS unless set, no leak.

use libtest_mimic::Trial;
use wiber_model::trace::is_request_id;
use wiber_tests::client::Call;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, tests_at};

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; a_request_id_comes_back, other_request_ids_are_replaced, no_origin_is_granted_by_default]
}

/// Calls of every kind: one a component, and errors.
fn calls(site: &Site) -> Vec<Call> {
    let (alice, bob) = names::pair();
    vec![
        site.client.sending(&alice, &bob, "x"),
        site.client.sending(&alice, &bob, ""),
        site.client.call("GET", "/messages/a/b"),
        site.client.call("GET", "/messages/count?x=1"),
        site.client.call("GET", "/health/liveness"),
        site.client.call("GET", "/messages/id/x"),
        site.client.call("GET", "/unknown"),
        site.client.call("PUT", "/messages"),
        site.client.call("OPTIONS", "/messages"),
        site.client.call("GET", "/internal/outbox/statistics"),
    ]
}

async fn a_request_id_comes_back(site: Site) {
    for id in ["a", "Aa0._-", "0123456789abcdef", &"x".repeat(128)] {
        for call in calls(&site) {
            let answer = call.header("x-request-id", id).go().await;
            assert_eq!(answer.header("x-request-id"), Some(id), "{answer}");
        }
    }
}

async fn other_request_ids_are_replaced(site: Site) {
    let mut seen = std::collections::HashSet::new();
    for bad in ["", "two words", "semi;colon", "ü", &"x".repeat(129)] {
        for call in calls(&site) {
            let answer = call.header("x-request-id", bad).go().await;
            let id = answer.header("x-request-id").unwrap_or_default().to_owned();
            assert!(is_request_id(&id) && id != bad, "{answer}");
            assert!(seen.insert(id), "a new id for every request: {answer}");
        }
    }
}

async fn no_origin_is_granted_by_default(site: Site) {
    for call in calls(&site) {
        let call = call.header("origin", "http://example.test").header("access-control-request-method", "POST");
        let answer = call.go().await;
        let granted = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(granted, None, "{answer}");
    }
}
