//! 405 with `Allow`, HEAD, OPTIONS: on every path.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use wiber_tests::answer::Answer;
use wiber_tests::site::{Place, Site};
use wiber_tests::tests_at;

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; other_methods_are_refused, options_say_what_is_allowed, head_is_a_get_without_a_body]
}

const GETS: [&str; 11] = [
    "/",
    "/health/liveness",
    "/health/readiness",
    "/health/readiness/send",
    "/health/readiness/fetch",
    "/messages/a/b",
    "/messages/user/a",
    "/messages/conversation?user1=a&user2=b",
    "/messages/timeline?user=a",
    "/messages/count",
    "/messages/id/msg_1_e10628bb5f1c4d2a9b07",
];

fn allowed(answer: &Answer) -> BTreeSet<String> {
    let allow = answer.header("allow").unwrap_or_else(|| panic!("no Allow in {answer}"));
    allow.split(',').map(|method| method.trim().to_owned()).collect()
}

fn set(methods: &[&str]) -> BTreeSet<String> {
    methods.iter().map(|method| (*method).to_owned()).collect()
}

async fn other_methods_are_refused(site: Site) {
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "BREW"] {
        let answer = site.client.call(method, "/messages").go().await;
        assert_eq!(answer.status, 405, "{answer}");
        assert_eq!(allowed(&answer), set(&["POST", "OPTIONS"]));
    }
    for path in GETS {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = site.client.call(method, path).go().await;
            assert_eq!(line(&answer), "405 method-not-allowed", "{method} {path}");
            assert_eq!(allowed(&answer), set(&["GET", "HEAD", "OPTIONS"]));
        }
    }
}

async fn options_say_what_is_allowed(site: Site) {
    for path in GETS.into_iter().chain(["/messages"]) {
        let answer = site.client.call("OPTIONS", path).go().await.expect(204);
        let expected = if path == "/messages" { set(&["POST", "OPTIONS"]) } else { set(&["GET", "HEAD", "OPTIONS"]) };
        assert_eq!(allowed(&answer), expected, "{path}");
        assert!(answer.body.is_empty(), "{answer}");
    }
    let unknown = site.client.call("OPTIONS", "/unknown").go().await;
    assert_eq!(line(&unknown), "404 not-found");
}

async fn head_is_a_get_without_a_body(site: Site) {
    for path in GETS.into_iter().chain(["/unknown", "/messages/a/b?limit=0"]) {
        let get = site.client.get(path).await;
        let head = site.client.call("HEAD", path).go().await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{head}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        // Counts move, and so may their lengths; a count's answer is compared only as far as it stands still.
        if path != "/messages/count" && !path.contains("readiness") {
            let length = |answer: &Answer| answer.header("content-length").map(str::to_owned);
            assert_eq!(length(&head), length(&get), "{path}");
        }
    }
}
