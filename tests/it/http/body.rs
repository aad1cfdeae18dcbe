//! `POST /messages`: media type, size, encoding, and the order in which they are looked at.

use bytes::Bytes;
use libtest_mimic::Trial;
use serde_json::json;
use wiber_model::BODY_BYTES_MAX;
use wiber_tests::answer::Answer;
use wiber_tests::client::{Call, check_every_answer};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, raw, tests_at};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        only_json_is_read,
        bodies_at_below_and_above_their_limit,
        a_streamed_body_is_counted_while_it_comes,
        an_endless_body_is_refused_before_its_end,
        a_declared_length_is_believed_at_once,
        what_is_not_utf8_or_not_json_is_said,
        the_order_of_checks,
    ]
}

fn post(site: &Site, content_type: Option<&str>, body: impl Into<Bytes>) -> Call {
    let call = site.client.call("POST", "/messages").body(body);
    match content_type {
        Some(value) => call.header("content-type", value),
        None => call,
    }
}

fn valid() -> String {
    let (alice, bob) = names::pair();
    json!({"fromUser": alice, "toUser": bob, "content": "x"}).to_string()
}

/// A valid body of so many bytes: JSON may end with white space.
fn valid_of(bytes: usize) -> String {
    let body = valid();
    let padding = " ".repeat(bytes - body.len());
    body + &padding
}

async fn check_type(site: &Site, content_type: Option<&str>, expected: &str) {
    let answer = post(site, content_type, valid()).go().await;
    assert_eq!(line(&answer), expected, "{content_type:?}");
}

async fn only_json_is_read(site: Site) {
    check_type(&site, Some("application/json"), "200").await;
    check_type(&site, Some("application/json; charset=utf-8"), "200").await;
    check_type(&site, Some("Application/JSON"), "200").await;
    check_type(&site, None, "415 unsupported-media-type").await;
    check_type(&site, Some("text/plain"), "415 unsupported-media-type").await;
    check_type(&site, Some("application/x-www-form-urlencoded"), "415 unsupported-media-type").await;
    check_type(&site, Some("application/json5"), "415 unsupported-media-type").await;
    check_type(&site, Some("application/problem+json"), "415 unsupported-media-type").await;
    check_type(&site, Some(""), "415 unsupported-media-type").await;
}

/// A request whose body may be refused before its end: a server hangs up on what it does not read, which a usual client
/// may notice before it has seen the answer.
async fn large(site: &Site, line: &str, content_type: &str, body: String) -> Answer {
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nhost: wiber\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
    let answer = raw::exchange(site.client.base(), [head.into(), body.into()]).await;
    check_every_answer(&answer, false);
    answer
}

async fn check_size(site: &Site, bytes: usize, expected: &str) {
    let answer = large(site, "POST /messages", "application/json", valid_of(bytes)).await;
    assert_eq!(line(&answer), expected, "{bytes} bytes");
}

async fn bodies_at_below_and_above_their_limit(site: Site) {
    check_size(&site, BODY_BYTES_MAX - 1, "200").await;
    check_size(&site, BODY_BYTES_MAX, "200").await;
    check_size(&site, BODY_BYTES_MAX + 1, "413 body-too-large").await;
    check_size(&site, 4 * 1024 * 1024, "413 body-too-large").await;
}

const CHUNKED: &str =
    "POST /messages HTTP/1.1\r\nhost: wiber\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// A body in chunks of 1,000 bytes, with its end.
fn chunks(body: &str) -> Vec<Bytes> {
    let chunks = body.as_bytes().chunks(1_000).map(|chunk| {
        let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        Bytes::from(framed)
    });
    chunks.chain([Bytes::from_static(b"0\r\n\r\n")]).collect()
}

async fn check_chunked(site: &Site, bytes: usize, expected: &str) {
    let parts = [Bytes::from_static(CHUNKED.as_bytes())].into_iter().chain(chunks(&valid_of(bytes)));
    let answer = raw::exchange(site.client.base(), parts).await;
    check_every_answer(&answer, false);
    assert_eq!(line(&answer), expected, "{bytes} bytes in chunks");
}

async fn a_streamed_body_is_counted_while_it_comes(site: Site) {
    check_chunked(&site, BODY_BYTES_MAX - 1, "200").await;
    check_chunked(&site, BODY_BYTES_MAX, "200").await;
    check_chunked(&site, BODY_BYTES_MAX + 1, "413 body-too-large").await;
}

async fn an_endless_body_is_refused_before_its_end(site: Site) {
    // Chunks without the last one: an answer before the end shows that the body was counted while it came.
    let mut parts = chunks(&" ".repeat(8 * BODY_BYTES_MAX));
    parts.pop();
    let answer =
        raw::exchange(site.client.base(), [Bytes::from_static(CHUNKED.as_bytes())].into_iter().chain(parts)).await;
    assert_eq!(line(&answer), "413 body-too-large");
}

async fn a_declared_length_is_believed_at_once(site: Site) {
    let head = "POST /messages HTTP/1.1\r\nhost: wiber\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n{";
    let answer = raw::exchange(site.client.base(), [Bytes::from_static(head.as_bytes())]).await;
    assert_eq!(line(&answer), "413 body-too-large");
}

async fn check_bytes(site: &Site, body: &'static [u8], expected: &str) {
    let answer = post(site, Some("application/json"), body).go().await;
    assert_eq!(line(&answer), expected, "{:?}", String::from_utf8_lossy(body));
}

async fn what_is_not_utf8_or_not_json_is_said(site: Site) {
    check_bytes(&site, b"{\"fromUser\":\"a\",\"toUser\":\"b\",\"content\":\"\xff\"}", "400 not-utf8").await;
    check_bytes(&site, b"\xff\xfe{\0}\0", "400 not-utf8").await;
    check_bytes(&site, b"{\"fromUser\":\"a\",\"toUser\":\"b\",\"content\":\"\xed\xa0\x80\"}", "400 not-utf8").await;
    check_bytes(&site, b"", "400 not-json").await;
    check_bytes(&site, b"{", "400 not-json").await;
    check_bytes(&site, b"hello", "400 not-json").await;
    check_bytes(&site, b"{} {}", "400 not-json").await;
    check_bytes(&site, b"{'fromUser':'a'}", "400 not-json").await;
    check_bytes(&site, b"\xef\xbb\xbf{}", "400 not-json").await;
    check_bytes(&site, br#"{"fromUser":"a","toUser":"b","content":"\ud800"}"#, "400 not-json").await;
}

/// 404, 405, 415, 413, 400, 422: of two faults the earlier is named.
async fn the_order_of_checks(site: Site) {
    let too_large = || "x".repeat(BODY_BYTES_MAX + 1);
    for (request, content_type, expected) in [
        ("DELETE /messages/", "text/plain", "404 not-found"),
        ("PUT /messages", "text/plain", "405 method-not-allowed"),
        ("POST /messages", "text/plain", "415 unsupported-media-type"),
        ("POST /messages", "application/json", "413 body-too-large"),
    ] {
        let answer = large(&site, request, content_type, too_large()).await;
        assert_eq!(line(&answer), expected, "{request} {content_type}");
    }
    let json = |body: &'static [u8]| post(&site, Some("application/json"), body);
    let get = |path: &str| site.client.call("GET", path);
    for (call, expected) in [
        (json(b"\xff"), "400 not-utf8"),
        (json(b"{}").header("idempotency-key", "two words"), "400 bad-idempotency-key"),
        (json(b"{}"), "422 content:missing fromUser:missing toUser:missing"),
        (site.client.call("DELETE", "/messages/a/b?limit=x"), "405 method-not-allowed"),
        (get("/messages/a/%ff?limit=x"), "400 bad-percent-encoding"),
        (get("/messages/a/b?limit=%ff&limit=x"), "400 bad-percent-encoding"),
    ] {
        let answer = call.go().await;
        assert_eq!(line(&answer), expected, "{answer}");
    }
}
