//! The outbox's bounds: 503 before anything is written, repeats answered meanwhile, and room again once rows are freed.

use libtest_mimic::Trial;
use tokio::task::JoinSet;
use wiber_tests::host::Host;
use wiber_tests::send::{contents, id};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; rows_and_keys_are_bounded, bytes_are_bounded, asking_takes_no_room_from_sending]
}

/// A send that must be refused because the outbox is full.
async fn refused(stack: &Stack, alice: &str, bob: &str) {
    let answer = stack.client.sending(alice, bob, "one too many").go().await;
    let _ = answer.problem(503);
    assert!(answer.header("retry-after").is_some(), "{answer}");
}

async fn rows_and_keys_are_bounded(host: Host) {
    let stack = Plan::new("full").host(host).variable("outbox_rows_max", "10").start().await;
    let (alice, bob) = names::pair();
    stack.bridge().kill().await;
    let keyed = |key: &'static str| stack.client.sending(&alice, &bob, "with a key").header("idempotency-key", key);
    // A keyed message counts as a row and a key.
    let first = keyed("k").go().await.expect(200).json();
    for n in 3..=10 {
        stack.client.send(&alice, &bob, &format!("row {n}")).await;
    }
    refused(&stack, &alice, &bob).await;
    assert_eq!(keyed("k").go().await.expect(200).json(), first, "a repeat is answered while the outbox is full");
    let _ = keyed("another").go().await.problem(503);
    let body = stack.readiness(503, |body| body["outbox"] == "full").await;
    assert_eq!(body["status"], "not ready", "{body}");
    let _ = stack.client.get("/health/readiness/send").await.expect(503);
    let statistics = stack.statistics().await;
    assert_eq!((statistics.messages, statistics.keys, statistics.rows_max), (9, 1, 10), "{statistics:?}");

    stack.bridge().start();
    stack.ready().await;
    let last = wait::until("room in the outbox", async || {
        let answer = stack.client.sending(&alice, &bob, "room again").go().await;
        if answer.status == 200 { Ok(id(&answer.json())) } else { Err(answer.to_string()) }
    })
    .await;
    let read = stack.client.readable(&alice, &bob, 10).await;
    assert_eq!(read.last().map(id), Some(last));
    assert!(!contents(&read).contains(&"one too many".to_owned()), "what was refused was not written");
    assert_eq!(keyed("k").go().await.expect(200).json(), first, "the key outlives the row");
}

async fn bytes_are_bounded(host: Host) {
    let stack =
        Plan::new("full-bytes").host(host).bridges(0).variable("outbox_bytes_max", "40000").start_unready().await;
    let (alice, bob) = names::pair();
    let mut taken = 0;
    let text = "x".repeat(5_000);
    loop {
        let answer = stack.client.sending(&alice, &bob, &text).go().await;
        if answer.status != 200 {
            let _ = answer.problem(503);
            break;
        }
        taken += 1;
        assert!(taken <= 8, "more than 40,000 bytes were taken");
    }
    assert!(taken >= 6, "only {taken} messages of 5,000 bytes fitted into 40,000");
    let statistics = stack.statistics().await;
    assert!(statistics.bytes <= 40_000 && statistics.messages == taken, "{statistics:?}");
}

/// Anyone may ask whether the outbox accepts, as often as they like.
async fn asking_takes_no_room_from_sending(host: Host) {
    let stack = Plan::new("asked").host(host).bridges(0).start_unready().await;
    let (alice, bob) = names::pair();
    stack.client.send(&alice, &bob, "the first one").await;
    let mut asking = JoinSet::new();
    for _ in 0..600 {
        let client = stack.client.clone();
        asking.spawn(async move { client.get("/health/readiness/send").await.status });
    }
    let mut sending = JoinSet::new();
    for n in 0..100 {
        let call = stack.client.sending(&alice, &bob, &format!("message {n}"));
        sending.spawn(async move { call.go().await.status });
    }
    let statuses = |answers: Vec<u16>| answers.into_iter().filter(|status| *status != 200).count();
    assert_eq!(statuses(sending.join_all().await), 0, "a send was refused");
    let unready = statuses(asking.join_all().await);
    // Spin gives each question of a burst an instance of its own, and those cannot wait for each other.
    assert!(unready == 0 || host == Host::Spin, "a healthy outbox was called unready {unready} times");
}
