//! Many large batches at once: their memory is bounded, and small sends do not wait for it.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wiber_tests::answer::Answer;
use wiber_tests::client::Call;
use wiber_tests::host::Host;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![
        host;
        bodies_that_do_not_end_keep_large_ones_out_and_small_ones_in,
        bodies_that_hardly_begin_keep_nobody_out,
        large_batches_at_once_do_not_wait_for_each_other
    ]
}

const MIB: usize = 1024 * 1024;

/// A batch of 8 MiB of which only so much comes, once the host has read that; the connection must be kept.
async fn endless(stack: &Stack, bytes: usize) -> TcpStream {
    let address = stack.client.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the host listens");
    let head = format!(
        "POST /messages/batch HTTP/1.1\r\nhost: wiber\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        8 * MIB
    );
    stream.write_all(head.as_bytes()).await.expect("the host reads");
    stream.write_all(&vec![b' '; bytes]).await.expect("the host reads");
    wait::until("the host to have read a body", async || match unread(&stream) {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes are unread")),
    })
    .await;
    stream
}

/// Bytes that the kernel holds of what was sent, at either end (proc_net_tcp(5)).
fn unread(stream: &TcpStream) -> u64 {
    let (ours, theirs) = (stream.local_addr().expect("bound").port(), stream.peer_addr().expect("connected").port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = |address: &str| address.split(':').next_back().and_then(|port| u16::from_str_radix(port, 16).ok());
    let ends = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, remote, queues) = (port(fields.get(1)?)?, port(fields.get(2)?)?, fields.get(4)?);
        let (sending, receiving) = queues.split_once(':')?;
        let bytes = if (local, remote) == (ours, theirs) { sending } else { receiving };
        let is_of_it = (local, remote) == (ours, theirs) || (local, remote) == (theirs, ours);
        is_of_it.then(|| u64::from_str_radix(bytes, 16).ok()).flatten()
    });
    ends.sum()
}

fn batch_of(from: &str, to: &str) -> Value {
    let message = json!({"fromUser": from, "toUser": to, "content": "x".repeat(5_000)});
    json!(vec![message; 1_000])
}

async fn bodies_that_do_not_end_keep_large_ones_out_and_small_ones_in(host: Host) {
    let stack = Plan::new("large").host(host).start().await;
    let (alice, bob) = names::pair();
    let batch = || stack.client.call("POST", "/messages/batch").json(&batch_of(&alice, &bob)).go();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(endless(&stack, 8 * MIB - 100 * 1024).await);
    }
    let refused = batch().await;
    assert_eq!(refused.problem(503)["code"], "busy", "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    stack.client.send(&alice, &bob, "small").await;
    drop(held);
    wait::until("a large batch that is taken", async || {
        let answer = batch().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    assert_eq!(stack.client.readable(&alice, &bob, 1_001).await.len(), 1_001);
}

async fn bodies_that_hardly_begin_keep_nobody_out(host: Host) {
    let stack = Plan::new("slow").host(host).start().await;
    let (alice, bob) = names::pair();
    let _held = futures::future::join_all((0..20).map(|_| endless(&stack, 100 * 1024))).await;
    let _ = stack.client.call("POST", "/messages/batch").json(&batch_of(&alice, &bob)).go().await.expect(200);
}

/// More of them than there is memory for, which all grow alike.
async fn large_batches_at_once_do_not_wait_for_each_other(host: Host) {
    let stack = Plan::new("large-at-once").host(host).start().await;
    let call = |_| {
        let (alice, bob) = names::pair();
        let message = json!({"fromUser": alice, "toUser": bob, "content": "é".repeat(3_900)});
        stack.client.call("POST", "/messages/batch").json(&json!(vec![message; 1_000]))
    };
    let calls: Vec<_> = (0..8).map(call).collect();
    let answers: JoinSet<Answer> = calls.into_iter().map(Call::go).collect();
    for answer in answers.join_all().await {
        let _ = answer.expect(200);
    }
}
