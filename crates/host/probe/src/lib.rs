//! A component for the tests of the embedded host: each path tries one thing that the host grants, refuses or limits, and
//! answers with what happened. It is part of no deployment.
//!
//! It must not know anything of Wiber.

#![cfg(target_family = "wasm")]
#![allow(missing_docs, unsafe_code, clippy::missing_safety_doc, reason = "the SDK's macro expands to exports")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{self as sdk, FullBody, Request};
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::wasip3::http::types::RequestOptions;
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use spin_sdk::wasip3::wit_stream;
use spin_sdk::{http_service, time, variables};

thread_local! {
    /// Requests that wait to be woken by another request of this instance.
    static WAITERS: RefCell<Vec<spin_sdk::wit_bindgen::StreamWriter<u8>>> = const { RefCell::new(Vec::new()) };
    /// Requests that this instance has seen.
    static SEEN: Cell<u64> = const { Cell::new(0) };
    /// Requests that run in this instance.
    static RUNNING: Cell<u64> = const { Cell::new(0) };
}

/// Counts a request as running while it lives.
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.set(RUNNING.get() + 1);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

#[http_service]
async fn handle(request: Request) -> sdk::Result<http::Response<sdk::BoxBody>> {
    SEEN.set(SEEN.get() + 1);
    let _running = Running::begin();
    let uri = request.uri().clone();
    let argument = uri.query().unwrap_or_default().to_owned();
    let action = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let text = match action.as_str() {
        "seen" => SEEN.get().to_string(),
        "others" => (RUNNING.get() - 1).to_string(),
        "uri" => uri.to_string(),
        "headers" => format!("{:?}", request.headers()),
        "open" => Connection::open(&argument).await.map_or_else(|error| format!("{error:?}"), |_| "open".to_owned()),
        "sql" => sql(&text_of(request).await).await,
        "variable" => variables::get(&argument).await.unwrap_or_else(|error| format!("{error:?}")),
        "out" => out(&argument, Duration::from_secs(5)).await,
        "out-briefly" => out(&argument, Duration::from_millis(300)).await,
        "length" => length(request).await,
        "sleep" => {
            time::sleep(Duration::from_millis(argument.parse().unwrap_or(0))).await;
            "slept".to_owned()
        }
        "block" => {
            std::thread::sleep(Duration::from_millis(argument.parse().unwrap_or(0)));
            "blocked".to_owned()
        }
        "compute" => compute(argument.parse().unwrap_or(u64::MAX)).to_string(),
        "memory" => take_memory(argument.parse().unwrap_or(usize::MAX)).to_string(),
        "trap" => panic!("as asked"),
        "error" => return Err("as asked".into()),
        "print" => {
            println!("printed {argument}");
            eprintln!("complained {argument}");
            "printed".to_owned()
        }
        "wait" => wait().await,
        "wake" => wake().await,
        "stream" => return Ok(stream(argument.parse().unwrap_or(0))),
        _ => "static".to_owned(),
    };
    Ok(full(text))
}

fn full(text: String) -> http::Response<sdk::BoxBody> {
    let length = text.len();
    let mut response = http::Response::new(sdk::box_body(FullBody::new(Bytes::from(text))));
    response.headers_mut().insert("content-length", length.into());
    response
}

async fn text_of(request: Request) -> String {
    let bytes = request.into_body().bytes().await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn length(request: Request) -> String {
    match request.into_body().bytes().await {
        Ok(bytes) => bytes.len().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// Runs each line as a statement on one connection and tells what each step answered.
async fn sql(statements: &str) -> String {
    let connection = match Connection::open("data").await {
        Ok(connection) => connection,
        Err(error) => return format!("{error:?}"),
    };
    let mut told = Vec::new();
    for statement in statements.lines() {
        told.push(match connection.execute(statement, []).await {
            Err(error) => format!("execute {error:?}"),
            Ok(answer) => match answer.collect().await {
                Ok(rows) => rows.iter().map(|row| row.values.iter().map(show).collect::<Vec<_>>().join("|")).collect(),
                Err(error) => format!("result {error:?}"),
            },
        });
    }
    told.push(format!("changes {}", connection.changes().await));
    told.join("\n")
}

fn show(value: &Value) -> String {
    match value {
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(blob) => format!("{blob:?}"),
        Value::Null => "null".to_owned(),
    }
}

/// Calls `url` with `limit` for each step.
async fn out(url: &str, limit: Duration) -> String {
    let options = RequestOptions::new();
    let nanoseconds = u64::try_from(limit.as_nanos()).ok();
    let set = [
        options.set_connect_timeout(nanoseconds),
        options.set_first_byte_timeout(nanoseconds),
        options.set_between_bytes_timeout(nanoseconds),
    ];
    if set.iter().any(Result::is_err) {
        return "no options".to_owned();
    }
    let Ok(mut request) = http::Request::get(url).body(sdk::EmptyBody::new()) else { return "no url".to_owned() };
    request.extensions_mut().insert(RequestOptionsExtension(options));
    match sdk::send(request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            match response.into_body().bytes().await {
                Ok(body) => format!("{status} {}", String::from_utf8_lossy(&body)),
                Err(error) => format!("{status} {error:?}"),
            }
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Turns `rounds` times without a pause.
fn compute(rounds: u64) -> u64 {
    (0..rounds).fold(0, |sum, round| std::hint::black_box(sum ^ round))
}

/// Takes `mebibytes` and touches them.
fn take_memory(mebibytes: usize) -> usize {
    let mut taken = Vec::new();
    for _ in 0..mebibytes {
        taken.push(vec![1_u8; 1024 * 1024]);
    }
    taken.iter().map(Vec::len).sum()
}

/// Waits for [`wake`] in another request of this instance.
async fn wait() -> String {
    let (writer, mut reader) = wit_stream::new::<u8>();
    WAITERS.with_borrow_mut(|waiters| waiters.push(writer));
    match reader.next().await {
        Some(byte) => format!("woken with {byte}"),
        None => "the waker is gone".to_owned(),
    }
}

async fn wake() -> String {
    let waiters = WAITERS.take();
    let count = waiters.len();
    for mut writer in waiters {
        writer.write_one(7).await;
    }
    format!("woke {count}")
}

/// A body of `pieces` pieces, 50 ms apart.
fn stream(pieces: u32) -> http::Response<sdk::BoxBody> {
    let (mut sender, body) = sdk::body::stream::<String>();
    spin_sdk::wasip3::spawn(async move {
        for piece in 0..pieces {
            if sender.send(format!("piece {piece}\n")).await.is_err() {
                return;
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    });
    http::Response::new(sdk::box_body(body))
}
