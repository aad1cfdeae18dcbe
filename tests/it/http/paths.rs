//! Paths: what is one, what is not, and what a client's own headers cannot change.

use bytes::Bytes;
use libtest_mimic::Trial;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, raw, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        unknown_paths_answer_a_problem,
        a_trailing_slash_is_another_path,
        broken_percent_encoding_is_refused,
        bad_names_in_a_path_are_refused,
        forged_path_headers_change_nothing,
    ]
}

async fn check(site: &Site, path: &str, expected: &str) {
    // Byte for byte, past every client's own idea of a path.
    let request = format!("GET {path} HTTP/1.1\r\nhost: wiber\r\n\r\n");
    let answer = raw::exchange(site.client.base(), [Bytes::from(request)]).await;
    assert_eq!(line(&answer), expected, "{path}");
}

async fn unknown_paths_answer_a_problem(site: Site) {
    for path in ["/unknown", "/unknown/a/b/c", "/Messages", "/messages/a", "/messages/a/b/c", "/health", "/health/x"] {
        check(&site, path, "404 not-found").await;
    }
    for path in ["/messages/user/a/b", "/messages/count/a", "/messages/conversation/a", "/messages/timeline/a"] {
        check(&site, path, "404 not-found").await;
    }
    for path in ["/messages/user", "/messages/id", "/favicon.ico", "/health/readiness/other"] {
        check(&site, path, "404 not-found").await;
    }
}

async fn a_trailing_slash_is_another_path(site: Site) {
    for path in ["/messages/", "/messages/a/b/", "/messages/user/a/", "/messages/count/", "/messages/id/x/"] {
        check(&site, path, "404 not-found").await;
    }
    for path in
        ["/health/liveness/", "/health/readiness/", "/messages/conversation/?user1=a&user2=b", "//", "//messages"]
    {
        check(&site, path, "404 not-found").await;
    }
    for path in ["/messages//b", "/messages/a//", "/messages/user/"] {
        check(&site, path, "404 not-found").await;
    }
}

async fn broken_percent_encoding_is_refused(site: Site) {
    for broken in ["%", "%4", "%zz", "a%", "%ff", "%c3%28", "%ed%a0%80", "%c0%af"] {
        check(&site, &format!("/messages/{broken}/b"), "400 bad-percent-encoding").await;
        check(&site, &format!("/messages/a/{broken}"), "400 bad-percent-encoding").await;
        check(&site, &format!("/messages/user/{broken}"), "400 bad-percent-encoding").await;
        check(&site, &format!("/messages/conversation?user1={broken}&user2=b"), "400 bad-percent-encoding").await;
        check(&site, &format!("/messages/timeline?user={broken}"), "400 bad-percent-encoding").await;
    }
}

async fn check_name(site: &Site, name: &str, code: &str) {
    let answer = site.client.get(&format!("/messages/{name}/other")).await;
    assert_eq!(line(&answer), format!("422 user1:{code}"), "{name}");
    let answer = site.client.get(&format!("/messages/other/{name}")).await;
    assert_eq!(line(&answer), format!("422 user2:{code}"), "{name}");
    let answer = site.client.get(&format!("/messages/user/{name}")).await;
    assert_eq!(line(&answer), format!("422 username:{code}"), "{name}");
}

async fn bad_names_in_a_path_are_refused(site: Site) {
    check_name(&site, &"x".repeat(51), "too-long").await;
    check_name(&site, "%20x", "white-space").await;
    check_name(&site, "x%00", "forbidden-character").await;
    check_name(&site, "e%CC%81", "not-nfc").await;
    check_name(&site, "%2E", "dot-segment").await;
    check_name(&site, "%2e%2E", "dot-segment").await;
}

/// Spin hands path parameters on in headers and puts a client's own of the same name before them.
async fn forged_path_headers_change_nothing(site: Site) {
    let (alice, bob) = names::pair();
    let message = site.client.send(&alice, &bob, "for bob only").await;
    site.client.readable(&alice, &bob, 1).await;
    let (eve, mallory) = names::pair();
    let forged = |path: String| {
        let call = site.client.call("GET", &path);
        let call = call.header("spin-path-match-user1", &alice).header("spin-path-match-user2", &bob);
        let call = call.header("spin-path-match-username", &alice).header("spin-path-info", "/messages/count");
        call.header("spin-path-match-id", message["messageId"].as_str().unwrap_or_default())
            .header("spin-full-url", "http://wiber/messages/count")
            .header("spin-raw-component-route", "/messages/count")
    };
    let answer = forged(format!("/messages/{eve}/{mallory}")).go().await.expect(200);
    assert!(answer.array().is_empty(), "{answer}");
    let answer = forged(format!("/messages/user/{eve}")).go().await.expect(200);
    assert!(answer.array().is_empty(), "{answer}");
    let answer = forged("/messages/id/msg_1_e10628bb5f1c4d2a9b07".to_owned()).go().await;
    assert_eq!(line(&answer), "404 not-found");
    let answer = forged("/unknown".to_owned()).go().await;
    assert_eq!(line(&answer), "404 not-found");
}
