//! Health and the welcome.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::json;
use wiber_tests::site::{Place, Site};
use wiber_tests::{shape, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; it_is_alive, it_is_ready, the_welcome_names_what_there_is]
}

async fn it_is_alive(site: Site) {
    let answer = site.client.get("/health/liveness").await.expect(200);
    assert_eq!(answer.json(), json!({"status": "alive"}));
}

async fn it_is_ready(site: Site) {
    for path in ["/health/readiness", "/health/readiness/send", "/health/readiness/fetch"] {
        let began = Instant::now();
        let answer = site.client.get(path).await;
        assert_eq!(answer.status, 200, "{answer}");
        assert!(began.elapsed() < Duration::from_secs(3), "{path} took {:?}", began.elapsed());
    }
    let body = site.client.get("/health/readiness").await.expect(200).json();
    shape::check_members(&body, &["status", "outbox", "journal", "bridge", "kafka", "mongodb", "notes"]);
    let journal = body["journal"].as_str().unwrap_or_default();
    assert!(["wal", "truncate"].contains(&journal), "{body}");
    let expected = json!({
        "status": "ready", "outbox": "accepting", "journal": journal, "bridge": "connected", "kafka": "connected",
        "mongodb": "connected", "notes": body["notes"],
    });
    assert_eq!(body, expected);
    assert!(body["notes"].is_array(), "{body}");
}

async fn the_welcome_names_what_there_is(site: Site) {
    let answer = site.client.get("/").await.expect(200);
    assert!(!answer.body.is_empty(), "{answer}");
    let strange = site.client.get("/health").await;
    assert_eq!(line(&strange), "404 not-found");
}
