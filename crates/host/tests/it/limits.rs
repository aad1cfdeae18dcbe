//! What happens to requests that cost too much, and to those beside them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Host, PATIENCE};

async fn outcome_unknown(host: &Host, path: &str, status: u16) {
    let answer = host.send(Method::GET, path, Bytes::new()).await;
    let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!((answer.status().as_u16(), &document["code"]), (status, &"outcome-unknown".into()), "{path}");
}

/// The instance is a fresh one: it has seen no other request.
async fn serves_afresh(host: &Host) {
    assert_eq!(host.get("/granted/seen").await, (200, "1".to_owned()));
}

#[tokio::test]
async fn a_trap_costs_the_requests_of_its_instance_only() {
    let host = Host::start(&[]);
    let beside = join_all((0..5).map(|_| host.get("/granted/sleep?20000")));
    let elsewhere = host.get("/bare/sleep?500");
    let trap = async {
        host.until_running("granted", 5).await;
        outcome_unknown(&host, "/granted/trap", 500).await;
        serves_afresh(&host).await;
    };
    let (beside, elsewhere, ()) = tokio::join!(beside, elsewhere, trap);
    assert!(beside.iter().all(|answer| answer.0 == 500), "{beside:?}");
    assert_eq!(elsewhere, (200, "slept".to_owned()));
}

#[tokio::test]
async fn an_error_of_the_component() {
    let host = Host::start(&[]);
    outcome_unknown(&host, "/granted/error", 500).await;
    assert_eq!(host.get("/granted/seen").await, (200, "2".to_owned()), "the instance goes on");
}

#[tokio::test]
async fn memory() {
    let host = Host::start(&["--memory-limit-mib", "64"]);
    assert_eq!(host.get("/granted/memory?32").await, (200, (32 * 1024 * 1024).to_string()));
    outcome_unknown(&host, "/granted/memory?128", 500).await;
    serves_afresh(&host).await;
}

#[tokio::test]
async fn a_busy_loop_neither_stalls_others_nor_lasts() {
    let host = Host::start(&["--stall-limit-ms", "2000"]);
    let busy = outcome_unknown(&host, "/granted/compute", 500);
    let others = async {
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(host.get("/bare/static").await.0, 200);
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        }
    };
    tokio::join!(busy, others);
    serves_afresh(&host).await;
}

#[tokio::test]
async fn a_blocked_instance_is_replaced() {
    let host = Host::start(&["--stall-limit-ms", "1000"]);
    outcome_unknown(&host, "/granted/block?60000", 500).await;
    serves_afresh(&host).await;
}

#[tokio::test]
async fn long_computing_within_the_limit_is_left_alone() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/granted/compute?100000000").await.0, 200);
    assert_eq!(host.get("/granted/block?1500").await, (200, "blocked".to_owned()));
    assert_eq!(host.get("/granted/seen").await.1, "3");
}

#[tokio::test]
async fn time() {
    let host = Host::start(&["--request-limit-ms", "1000"]);
    let begun = Instant::now();
    let beside = host.get("/granted/sleep?700");
    let ((), beside) = tokio::join!(outcome_unknown(&host, "/granted/sleep?60000", 504), beside);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(beside, (200, "slept".to_owned()));
    serves_afresh(&host).await;
}

#[tokio::test]
async fn requests_beyond_the_instances_share_wait() {
    let host = Host::start(&["--concurrent-requests", "2", "--request-limit-ms", "5000"]);
    let answers = join_all((0..4).map(|_| host.get("/granted/sleep?500"))).await;
    assert!(answers.iter().all(|answer| answer.0 == 200), "{answers:?}");
    let answers = join_all((0..4).map(|_| host.get("/granted/sleep?60000"))).await;
    assert!(answers.iter().all(|answer| answer.0 == 504), "{answers:?}");
    // An instance whose request ran out of time is followed by another.
    while host.get("/granted/static").await.0 != 200 {}
}

#[tokio::test]
async fn a_request_that_began_late_says_nothing_about_its_instance() {
    let host = Host::start(&["--concurrent-requests", "1", "--request-limit-ms", "4000"]);
    // The second one begins when the first one is answered, with a quarter of its time left.
    let (first, second) = tokio::join!(host.get("/granted/sleep?3000"), host.get("/granted/sleep?3000"));
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
    assert_eq!(host.get("/granted/seen").await, (200, "3".to_owned()), "the instance goes on");
}

#[tokio::test]
async fn bodies_above_the_cap() {
    let host = Host::start(&["--body-limit-bytes", "1000"]);
    assert_eq!(host.post("/granted/length", &"x".repeat(1000)).await.1, "1000");
    let (_, told) = host.post("/granted/length", &"x".repeat(1001)).await;
    assert!(told.contains("HttpRequestBodySize"), "{told}");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives() {
    let host = Host::start(&[]);
    for _ in 0..20 {
        // The answer comes while most of the body is unread, which would reset a connection that is closed at once.
        let (mut reading, mut writing) = host.connect().await.into_split();
        let head = "POST /bare/static HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n\r\n";
        writing.write_all(head.as_bytes()).await.unwrap();
        _ = writing.write_all(&vec![b'x'; 4_000_000]).await;
        let mut answer = Vec::new();
        _ = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// What the server sends, and how long it keeps the connection.
async fn until_closed(host: &Host, request: &str, drip: bool) -> (String, Duration) {
    let begun = Instant::now();
    let stream = host.connect().await;
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(request.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while drip && writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await;
    dripping.abort();
    // A reset is a close too.
    _ = read.expect("the connection is closed");
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn slow_senders_are_reaped() {
    let host = Host::start(&["--header-timeout-ms", "1000", "--body-timeout-ms", "1000"]);
    let slow_headers = until_closed(&host, "GET /granted/static HTTP/1.1\r\nhost: a\r\nx: ", true);
    let silent = until_closed(&host, "", false);
    let slow_body =
        until_closed(&host, "POST /granted/length HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n", true);
    let (slow_headers, silent, slow_body) = tokio::join!(slow_headers, silent, slow_body);
    for (_, lasted) in [&slow_headers, &silent, &slow_body] {
        assert!(*lasted < Duration::from_secs(15), "{lasted:?}");
    }
    assert!(slow_body.0.contains("ConnectionReadTimeout"), "{}", slow_body.0);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait() {
    let host = Host::start(&["--connections", "2"]);
    let (first, _second) = (host.connect().await, host.connect().await);
    let mut third = host.connect().await;
    third.write_all(b"GET /bare/static HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let early = tokio::time::timeout(Duration::from_millis(500), third.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "answered though two connections are open: {answer}");
    drop(first);
    tokio::time::timeout(PATIENCE, third.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
