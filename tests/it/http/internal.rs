//! `/internal/…` on a public address: refused before path, method or body is looked at.

use libtest_mimic::Trial;
use wiber_model::outbox;
use wiber_tests::site::{Place, Site};
use wiber_tests::tests_at;

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; nobody_comes_in_without_the_token]
}

async fn nobody_comes_in_without_the_token(site: Site) {
    let known = [outbox::LEASE, outbox::RELEASE, outbox::READ, outbox::PUBLISHED, outbox::UNSETTLED, outbox::SETTLE];
    let paths = known.into_iter().chain([outbox::STATISTICS, "/internal/", "/internal/x/y", "/internal/outbox"]);
    for path in paths {
        for method in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
            for given in [None, Some("Bearer"), Some("Bearer wrong"), Some("Bearer "), Some("Basic d3Jvbmc6d3Jvbmc=")] {
                let call = site.client.call(method, path).body("nonsense");
                let call = given.into_iter().fold(call, |call, value| call.header("authorization", value));
                let answer = call.go().await;
                if method == "HEAD" {
                    assert!([401, 403].contains(&answer.status), "{answer}");
                    continue;
                }
                // A deployment with no token at all refuses everybody (403).
                let expected = if site.outbox_token.is_some() {
                    ["401 unauthorized"; 2]
                } else {
                    ["401 unauthorized", "403 forbidden"]
                };
                assert!(expected.contains(&line(&answer).as_str()), "{given:?}: {answer}");
                if answer.status == 401 {
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{answer}");
                }
            }
        }
    }
}
