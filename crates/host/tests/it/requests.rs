//! How requests reach components and answers come back.

use std::time::Instant;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Host;

#[tokio::test]
async fn answers_pass_unchanged() {
    let host = Host::start(&[]);
    let answer = host.send(Method::GET, "/bare/static", Bytes::new()).await;
    assert_eq!(answer.headers()["content-length"], "6");
    assert!(!answer.headers().contains_key("transfer-encoding"));
    let head = host.send(Method::HEAD, "/bare/static", Bytes::new()).await;
    assert_eq!((head.headers()["content-length"].as_bytes(), head.body().len()), (&b"6"[..], 0));
    let (_, uri) = host.get("/bare/uri?a=b%20c").await;
    let path = uri.strip_prefix("http://").unwrap().strip_prefix(&host.address).unwrap_or(&uri);
    assert!(path.ends_with("/bare/uri?a=b%20c"), "{uri}");
    assert_eq!(host.get("/bare/stream?3").await, (200, "piece 0\npiece 1\npiece 2\n".to_owned()));
}

#[tokio::test]
async fn a_path_without_a_component() {
    let host = Host::start(&[]);
    let answer = host.send(Method::GET, "/nowhere", Bytes::new()).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["content-length"], answer.body().len().to_string());
    assert!(!answer.headers()["x-request-id"].is_empty());
    let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!((&document["status"], &document["code"]), (&404.into(), &"not-found".into()));
}

#[tokio::test]
async fn a_request_without_a_host() {
    let host = Host::start(&[]);
    let mut stream = host.connect().await;
    stream.write_all(b"GET /bare/static HTTP/1.1\r\nx-request-id: mine\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("x-request-id: mine"), "{answer}");
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let host = Host::start(&[]);
    let answer = host.send(Method::POST, "/bare/length", Bytes::from(vec![b'x'; 8 * 1024 * 1024])).await;
    assert_eq!(answer.body(), "8388608");
}

#[tokio::test]
async fn one_instance_runs_requests_side_by_side() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/bare/seen").await.1, "1");
    let begun = Instant::now();
    let slept = join_all((0..50).map(|_| host.get("/bare/sleep?1000"))).await;
    assert!(slept.iter().all(|answer| answer.0 == 200));
    assert!(begun.elapsed().as_secs() < 20, "50 sleeps of a second took {:?}", begun.elapsed());
    assert_eq!(host.get("/bare/seen").await.1, "52");
}

#[tokio::test]
async fn a_request_wakes_others_of_its_instance() {
    let host = Host::start(&[]);
    let wake = async {
        // Until all have come to wait, the count that was woken is short.
        let mut woken = 0;
        while woken < 20 {
            let (_, told) = host.get("/bare/wake").await;
            woken += told.strip_prefix("woke ").unwrap().parse::<u32>().unwrap();
        }
    };
    let (waited, ()) = tokio::join!(join_all((0..20).map(|_| host.get("/bare/wait"))), wake);
    assert!(waited.iter().all(|answer| answer.1 == "woken with 7"), "{waited:?}");
}

#[tokio::test]
async fn what_components_print_is_logged_with_their_name() {
    let host = Host::start(&[]);
    host.get("/bare/print?this").await;
    let log = host.stderr();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{log}")).to_owned();
    assert!(line("printed this").contains(r#""component":"bare""#), "{log}");
    assert!(line("complained this").contains(r#""stream":"stderr""#), "{log}");
}

/// More than an instance has handles for, without a pause: what is left to be done for those that are answered must not
/// pile up behind new ones.
#[tokio::test(flavor = "multi_thread")]
async fn an_unbroken_stream_of_requests() {
    stream(&[]).await;
}

/// The same where requests always wait for others to be answered.
#[tokio::test(flavor = "multi_thread")]
async fn an_unbroken_stream_beyond_the_instances_share() {
    stream(&["--concurrent-requests", "16"]).await;
}

async fn stream(flags: &[&str]) {
    const CLIENTS: usize = 64;
    const EACH: usize = 2_500;
    let host = Host::start(flags);
    let client = |address: String| async move {
        let stream = TcpStream::connect(&address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..EACH {
            let request = Request::get("/bare/static").header("host", &address).body(Full::<Bytes>::default()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap();
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(host.address.clone()))).collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(host.get("/bare/seen").await.1, (CLIENTS * EACH + 1).to_string(), "the instance is still the first");
}
