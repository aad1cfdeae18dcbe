//! What a component may open, reach and read, and how it is refused.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::harness::Host;

/// A server that answers with the count of its connections so far; `/hang` never answers.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for connection in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<Incoming>| async move {
                if request.uri().path() == "/hang" {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("connection {connection}")))))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn databases() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/granted/open?data").await, (200, "open".to_owned()));
    assert_eq!(host.get("/granted/open?other").await, (200, "Error::AccessDenied".to_owned()));
    assert_eq!(host.get("/bare/open?data").await, (200, "Error::AccessDenied".to_owned()));
    assert!(host.stderr().contains("database refused"));
}

#[tokio::test]
async fn hosts() {
    let server = server().await;
    let host = Host::start_reaching(&server, &[]);
    let refused = (200, "ErrorCode::HttpRequestDenied".to_owned());
    assert_eq!(host.get(&format!("/bare/out?{server}")).await, refused);
    assert_eq!(host.get("/granted/out?http://127.0.0.1:9").await, refused);
    assert_eq!(host.get(&format!("/granted/out?{server}/a")).await, (200, "200 connection 1".to_owned()));
    assert_eq!(host.get(&format!("/granted/out?{server}/b")).await, (200, "200 connection 1".to_owned()), "kept");
    let late = (200, "ErrorCode::ConnectionReadTimeout".to_owned());
    assert_eq!(host.get(&format!("/granted/out-briefly?{server}/hang")).await, late);
}

#[tokio::test]
async fn a_host_that_is_down() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let host = Host::start_reaching(&format!("http://{free}"), &[]);
    let refused = (200, "ErrorCode::ConnectionRefused".to_owned());
    assert_eq!(host.get(&format!("/granted/out?http://{free}/")).await, refused);
}

#[tokio::test]
async fn variables() {
    let host = Host::start(&[]);
    assert_eq!(host.get("/granted/variable?greeting").await, (200, "hello, you".to_owned()));
    let undefined = r#"Error::Undefined("no variable for \"granted\".\"host\"")"#.to_owned();
    assert_eq!(host.get("/granted/variable?host").await, (200, undefined));
    assert!(host.get("/granted/variable?Nope").await.1.starts_with("Error::InvalidName"));
    assert!(host.get("/bare/variable?greeting").await.1.starts_with("Error::Undefined"));
}

#[tokio::test]
async fn statements() {
    let host = Host::start(&[]);
    let sql =
        "PRAGMA journal_mode\nCREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)\nINSERT INTO t (b) VALUES ('x'), ('y')";
    assert_eq!(host.post("/granted/sql", sql).await.1, "delete\n\n\nchanges 2");
    let sql = "SELECT a, b FROM t\nSELECT missing\nINSERT INTO t VALUES (1, 'z')\nATTACH '/tmp/other.db' AS other";
    let (_, told) = host.post("/granted/sql", sql).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "1|x2|y");
    assert!(lines[1].starts_with("result Error::Io(\"no such column: missing"), "{told}");
    assert!(lines[2].starts_with("result Error::Io(\"UNIQUE constraint failed"), "{told}");
    assert!(lines[3].starts_with("result Error::Io(\"not authorized"), "{told}");
    assert!(host.folder.path().join("data/data.db").exists());
}

#[tokio::test]
async fn a_component_can_wait_for_a_commit() {
    let host = Host::start(&[]);
    let sql = "PRAGMA data_version\nSELECT next_data_version(-1, 0, 0)\nSELECT next_data_version('a', 0, 0)";
    let (_, told) = host.post("/granted/sql", sql).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert!(lines[2].starts_with("result Error::Io(\"Invalid function"), "{told}");
}

#[tokio::test]
async fn many_rows_arrive_whole() {
    let host = Host::start(&[]);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT 1 FROM n";
    assert_eq!(host.post("/granted/sql", sql).await.1.lines().next().unwrap().len(), 10_000);
}
