//! Many large batches at once: their memory is bounded, and small sends do not wait for it.

use libtest_mimic::Trial;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wiber_tests::host::Host;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; bodies_that_do_not_end_keep_large_ones_out_and_small_ones_in]
}

const MIB: usize = 1024 * 1024;

/// A batch of which 100 KiB are missing; the connection must be kept.
async fn endless(stack: &Stack) -> TcpStream {
    let mut stream =
        TcpStream::connect(stack.client.base().trim_start_matches("http://")).await.expect("the host listens");
    let head = format!(
        "POST /messages/batch HTTP/1.1\r\nhost: wiber\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        8 * MIB
    );
    stream.write_all(head.as_bytes()).await.expect("the host reads");
    stream.write_all(&vec![b' '; 8 * MIB - 100 * 1024]).await.expect("the host reads");
    stream
}

async fn bodies_that_do_not_end_keep_large_ones_out_and_small_ones_in(host: Host) {
    let stack = Plan::new("large").host(host).start().await;
    let (alice, bob) = names::pair();
    let message = json!({"fromUser": alice, "toUser": bob, "content": "x".repeat(5_000)});
    let batch = || stack.client.call("POST", "/messages/batch").json(&json!(vec![message.clone(); 1_000])).go();
    let held = futures::future::join_all((0..5).map(|_| endless(&stack))).await;
    let taken = std::cell::Cell::new(0);
    let refused = wait::until("a batch without room", async || {
        let answer = batch().await;
        if answer.status == 503 {
            return Ok(answer);
        }
        // The host had not read all of the others.
        taken.set(taken.get() + answer.expect(200).array().len());
        Err("it was taken")
    })
    .await;
    assert_eq!(refused.problem(503)["code"], "busy", "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    stack.client.send(&alice, &bob, "small").await;
    drop(held);
    wait::until("a large batch that is taken", async || {
        let answer = batch().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let expected = taken.get() + 1_001;
    assert_eq!(stack.client.readable(&alice, &bob, expected).await.len(), expected);
}
