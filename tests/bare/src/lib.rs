//! What a durable accept costs with the SDK as it comes: a body is made durable by group commit and is the answer. Nothing
//! is validated, bounded, numbered for an outbox, or traced. The benchmark measures it beside *send*; it is part of no
//! deployment.

#![cfg(target_family = "wasm")]
#![allow(missing_docs, unsafe_code, clippy::missing_safety_doc, reason = "the SDK's macro expands to exports")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::http_service;
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::variables;
use spin_sdk::wasip3::wit_bindgen::StreamWriter;
use spin_sdk::wasip3::{spawn, wit_stream};

/// Run once an instance, after the journal is chosen.
const SCHEMA: [&str; 2] =
    ["PRAGMA synchronous = FULL", "CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"];
const INSERT: &str = "INSERT INTO bare (body) SELECT value FROM json_each(?)";

thread_local! {
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    static COMMITTING: Cell<bool> = const { Cell::new(false) };
    static QUEUE: RefCell<Vec<(Bytes, StreamWriter<u8>)>> = const { RefCell::new(Vec::new()) };
}

#[http_service]
async fn handle(request: Request) -> http::Response<FullBody<Bytes>> {
    let status = match request.into_body().bytes().await {
        Ok(body) if accept(body.clone()).await => return answer(body),
        Ok(_) => http::StatusCode::SERVICE_UNAVAILABLE,
        Err(_) => http::StatusCode::BAD_REQUEST,
    };
    let mut refused = http::Response::new(FullBody::new(Bytes::new()));
    *refused.status_mut() = status;
    refused
}

/// With its length: in chunks it would leave a host that does not turn Nagle's algorithm off in two packets, 40 ms apart.
fn answer(body: Bytes) -> http::Response<FullBody<Bytes>> {
    let length = http::HeaderValue::from(body.len());
    let mut answer = http::Response::new(FullBody::new(body));
    answer.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    answer
}

/// Whether the body is durable now.
async fn accept(body: Bytes) -> bool {
    if COMMITTING.replace(true) {
        let (ringer, mut listener) = wit_stream::new();
        QUEUE.with_borrow_mut(|queue| queue.push((body, ringer)));
        return listener.next().await.is_some();
    }
    let is_durable = commit(&[&body]).await.is_ok();
    spawn(async {
        loop {
            let group = QUEUE.take();
            if group.is_empty() {
                COMMITTING.set(false);
                return;
            }
            let bodies: Vec<&Bytes> = group.iter().map(|(body, _)| body).collect();
            // Where it fails the ringers are dropped, which their listeners take for no.
            if commit(&bodies).await.is_ok() {
                spawn(ring(group));
            }
        }
    });
    is_durable
}

async fn ring(group: Vec<(Bytes, StreamWriter<u8>)>) {
    let ring = |(_, mut ringer): (Bytes, StreamWriter<u8>)| async move { ringer.write_all(vec![1]).await };
    futures::future::join_all(group.into_iter().map(ring)).await;
}

async fn commit(bodies: &[&Bytes]) -> Result<(), spin_sdk::sqlite::Error> {
    let connection = connection().await?;
    let mut array = vec![b'['];
    for body in bodies {
        array.extend_from_slice(body);
        array.push(b',');
    }
    array.pop();
    array.push(b']');
    let array = Value::Text(String::from_utf8_lossy(&array).into_owned());
    connection.execute(INSERT, [array]).await?.collect().await.map(drop)
}

async fn connection() -> Result<Rc<Connection>, spin_sdk::sqlite::Error> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Rc::new(Connection::open("outbox").await?);
    // As the outbox does where it is forced.
    let journal =
        if variables::get("outbox_journal").await.is_ok_and(|it| it == "truncate") { "TRUNCATE" } else { "WAL" };
    connection.execute(&format!("PRAGMA journal_mode = {journal}"), []).await?.collect().await?;
    for statement in SCHEMA {
        connection.execute(statement, []).await?.collect().await?;
    }
    CONNECTION.set(Some(Rc::clone(&connection)));
    Ok(connection)
}
