use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::server::{self, LIMITS, Limits};
use super::{Parts, serve};
use crate::config::Secret;
use crate::status::Board;
use crate::telemetry::Metrics;

struct Served {
    address: SocketAddr,
    board: Board,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), std::io::Error>>,
}

async fn served(token: &str) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (board, shutdown) = (Board::new(), CancellationToken::new());
    let parts =
        Parts { store: None, query_token: Secret::new(token), board: board.clone(), metrics: Metrics::new().unwrap() };
    let task = tokio::spawn(serve(listener, parts, shutdown.clone()));
    Served { address, board, shutdown, task }
}

impl Served {
    async fn get(&self, path: &str, token: Option<&str>) -> reqwest::Response {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        request.send().await.unwrap()
    }
}

#[tokio::test]
async fn the_query_api_asks_for_its_token_before_it_looks_at_the_path() {
    let served = served("secret").await;
    for wrong in [None, Some("Bearer secres"), Some("Bearer secret2"), Some("Basic secret"), Some("secret")] {
        for path in ["/query/status", "/query/unknown"] {
            let answer = served.get(path, wrong).await;
            assert_eq!(answer.status(), 401, "{path} {wrong:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
    let answer = served.get("/query/unknown", Some("Bearer secret")).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    // Else the functions would take it for the answer about a message.
    assert!(answer.text().await.unwrap().contains(r#""code":"no-such-path""#));
}

#[tokio::test]
async fn without_a_token_every_query_is_forbidden() {
    let served = served("").await;
    for token in [None, Some("Bearer "), Some("Bearer x")] {
        assert_eq!(served.get("/query/status", token).await.status(), 403, "{token:?}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let served = served("").await;
    assert_eq!(served.get("/health/liveness", None).await.text().await.unwrap(), r#"{"status":"alive"}"#);
    served.board.set_kafka(true);
    served.board.set_note("x", "a note");
    let answer = served.get("/health/readiness", None).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.text().await.unwrap(),
        r#"{"status":"not ready","kafka":"connected","mongodb":"disconnected","notes":["a note"]}"#
    );
    served.board.set_mongodb(true);
    let answer = served.get("/health/readiness", None).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("content-length"));
    let metrics = served.get("/metrics", None).await;
    assert!(metrics.text().await.unwrap().contains("# TYPE wiber_dead_letters_total counter"));
    assert_eq!(served.get("/", None).await.status(), 404);
}

#[tokio::test]
async fn shutdown_ends_the_server() {
    let served = served("").await;
    served.get("/health/liveness", None).await;
    served.shutdown.cancel();
    served.task.await.unwrap().unwrap();
}

/// Reads until the server hangs up, and fails if it does not by itself.
async fn hung_up(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(LIMITS.silence * 2, stream.read_to_string(&mut text)).await;
    read.expect("the server hangs up").unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on() {
    let served = served("").await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /health/liveness HTTP/1.1\r\nhost: h\r\n").await.unwrap();
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    idle.write_all(b"GET /health/liveness HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    hung_up(&mut slow).await;
    assert!(hung_up(&mut idle).await.ends_with(r#"{"status":"alive"}"#));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connections_max: 1, ..LIMITS };
    let router = axum::Router::new().route("/", axum::routing::get(async || "served"));
    let (shutdown, ask) = (CancellationToken::new(), b"GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let server = tokio::spawn(server::serve(listener, router, limits, shutdown.clone()));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(ask).await.unwrap();
    assert!(first.read(&mut [0; 256]).await.unwrap() > 0);
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(ask).await.unwrap();
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), second.read(&mut [0; 256])).await;
    assert!(early.is_err(), "the first connection is still open");
    drop(first);
    assert!(second.read(&mut [0; 256]).await.unwrap() > 0);
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
