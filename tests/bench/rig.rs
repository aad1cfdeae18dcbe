//! What the scenarios have in common: deployments without links in between, requests, and outboxes to be drained.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wiber_tests::client::Client;
use wiber_tests::host::Host;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{binaries, manifest};

use crate::load::Make;

/// Characters of a message's content.
const CONTENT: usize = 100;
/// Connections with a body of their own.
const BODIES: u64 = 256;
/// Messages of a batch where an outbox is filled.
const FILLING: u64 = 1_000;
/// Batches sent at once.
const FILLERS: u64 = 4;

/// A deployment whose parts speak to each other directly, with bounds that no scenario reaches.
pub(crate) fn plan(name: &str) -> Plan {
    let plan = Plan::new(&format!("bench-{name}")).direct();
    plan.variable("outbox_rows_max", "1000000000").variable("outbox_bytes_max", "1000000000000")
}

/// A host with no bridge, so that nothing but accepting goes on.
pub(crate) async fn host_alone(name: &str) -> Stack {
    plan(name).bridges(0).start_unready().await
}

/// A host whose *send* does nothing but make bodies durable.
pub(crate) async fn bare(host: Host, journal: &str) -> Stack {
    let mut manifest = manifest::load();
    manifest::replace(&mut manifest, "send", &binaries::repository().join("target/components/bare.wasm"));
    plan("bare").host(host).variable("outbox_journal", journal).manifest(manifest).bridges(0).start_unready().await
}

/// Where the functions listen.
///
/// # Errors
/// Never, since the harness draws the address.
pub(crate) fn address(stack: &Stack) -> anyhow::Result<SocketAddr> {
    let base = stack.client.base();
    base.trim_start_matches("http://").parse().with_context(|| format!("{base} is no address"))
}

/// One message of a conversation of its own number.
pub(crate) fn message(conversation: u64) -> Value {
    json!({ "fromUser": format!("a{conversation}"), "toUser": format!("b{conversation}"), "content": "x".repeat(CONTENT) })
}

/// Single messages, each connection in a conversation of its own.
pub(crate) fn sends(path: &'static str) -> Make {
    posts(path, message)
}

/// Batches of so many messages, each connection in a conversation of its own.
pub(crate) fn batches(size: u64) -> Make {
    posts("/messages/batch", move |connection| (0..size).map(|_| message(connection)).collect())
}

/// Bodies by connection, made beforehand: making them would take a part of what is measured.
fn posts(path: &'static str, body: impl Fn(u64) -> Value) -> Make {
    let bodies: Vec<Bytes> = (0..BODIES).map(|connection| body(connection).to_string().into()).collect();
    Arc::new(move |connection, _| post(path, bodies[connection % bodies.len()].clone()))
}

/// A GET of what `path` makes of the connection and the number of the request.
pub(crate) fn gets(path: impl Fn(usize, u64) -> String + Send + Sync + 'static) -> Make {
    Arc::new(move |connection, count| {
        let request = Request::get(path(connection, count)).header("host", "127.0.0.1");
        request.body(Full::default()).expect("a scenario's path is one")
    })
}

fn post(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("host", "127.0.0.1").header("content-type", "application/json");
    request.body(Full::new(body)).expect("a scenario's path is one")
}

/// Puts `messages` messages of `conversations` conversations in turn into an outbox.
///
/// # Errors
/// If one is not taken.
pub(crate) async fn fill(client: &Client, messages: u64, conversations: u64) -> anyhow::Result<()> {
    let mut fillers = JoinSet::new();
    let batches = messages.div_ceil(FILLING);
    for filler in 0..FILLERS {
        let client = client.clone();
        fillers.spawn(async move {
            for batch in (filler..batches).step_by(FILLERS as usize) {
                let numbers = batch * FILLING..((batch + 1) * FILLING).min(messages);
                let body: Vec<Value> = numbers.map(|number| message(number % conversations)).collect();
                let answer = client.call("POST", "/messages/batch").json(&Value::from(body)).attempt().await;
                let answer = answer.map_err(|error| anyhow::anyhow!("a batch was not answered: {error}"))?;
                anyhow::ensure!(answer.status == 200, "a batch was not taken: {answer}");
            }
            Ok(())
        });
    }
    while let Some(filler) = fillers.join_next().await {
        filler??;
    }
    Ok(())
}
