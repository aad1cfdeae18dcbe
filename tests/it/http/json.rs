//! `POST /messages`: what is JSON is judged by its fields, whatever their values hold.

use libtest_mimic::Trial;
use wiber_tests::site::{Place, Site};
use wiber_tests::tests_at;

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; values_of_a_wrong_type_are_named_whatever_they_hold]
}

async fn check(site: &Site, content: &str, expected: &str) {
    let body = format!(r#"{{"fromUser":"a","toUser":"b","content":{content}}}"#);
    let answer = site.client.call("POST", "/messages").header("content-type", "application/json").body(body).go().await;
    assert_eq!(line(&answer), expected, "{}", content.chars().take(20).collect::<String>());
}

async fn values_of_a_wrong_type_are_named_whatever_they_hold(site: Site) {
    check(&site, "1e999", "422 content:wrong-type").await;
    check(&site, &("[".repeat(200) + &"]".repeat(200)), "422 content:wrong-type").await;
    check(&site, &("[".repeat(30_000) + &"]".repeat(30_000)), "422 content:wrong-type").await;
    check(&site, &"[".repeat(30_000), "400 not-json").await;
    check(&site, r#""c","more":-1e999"#, "422 more:unknown-field").await;
}
