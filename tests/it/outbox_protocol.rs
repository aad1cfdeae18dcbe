//! The outbox's protocol as the bridge speaks it, on the built component: lease, long-poll, marks, settlement.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use wiber_model::outbox::{
    Changed, LEASE, LeaseAnswer, PUBLISHED, READ, RELEASE, ReadAnswer, SETTLE, UNSETTLED, UnsettledAnswer,
};
use wiber_tests::answer::Answer;
use wiber_tests::host::Host;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, send, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; a_row_goes_its_way, the_lease_decides_who_reads, a_read_waits_for_the_first_row, a_read_that_outlives_its_lease_gets_no_row, each_sending_again_has_a_higher_number, a_restart_keeps_rows_and_id]
}

async fn outbox(host: Host, name: &str) -> Stack {
    Plan::new(name).host(host).bridges(0).start_unready().await
}

async fn call(stack: &Stack, path: &str, body: Value) -> Answer {
    stack.client.call("POST", path).bearer(&stack.outbox_token).json(&body).go().await
}

fn parsed<T: serde::de::DeserializeOwned>(answer: Answer) -> T {
    let answer = answer.expect(200);
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error} in {answer}"))
}

async fn lease(stack: &Stack, holder: &str, ttl_ms: u64) -> Answer {
    call(stack, LEASE, json!({"holder": holder, "ttlMs": ttl_ms})).await
}

async fn read(stack: &Stack, holder: &str, after: i64, wait_ms: u64, which: &str) -> Answer {
    call(stack, READ, json!({"holder": holder, "after": after, "limit": 100, "waitMs": wait_ms, "which": which})).await
}

async fn rows(stack: &Stack, which: &str) -> Vec<(i64, String)> {
    let answer: ReadAnswer = parsed(read(stack, "me", 0, 0, which).await);
    let id = |row: &wiber_model::outbox::Row| {
        let message: Value = serde_json::from_str(row.message.get()).expect("a row's message is JSON");
        send::id(&message)
    };
    answer.rows.iter().map(|row| (row.position, id(row))).collect()
}

async fn a_row_goes_its_way(host: Host) {
    let stack = outbox(host, "row").await;
    let (alice, bob) = names::pair();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(send::id(&stack.client.send(&alice, &bob, &format!("text {n}")).await));
    }
    let expected: Vec<(i64, String)> = (1..).zip(ids.iter().cloned()).collect();
    let _ = lease(&stack, "me", 60_000).await.expect(200);
    assert_eq!(rows(&stack, "unpublished").await, expected);

    let mark = json!({"rows": [{"position": 1, "messageId": ids[0], "partition": 3, "offset": 7, "publishedAt": 1_800_000_000_000_i64}]});
    for changed in [1, 0] {
        let answer: Changed = parsed(call(&stack, PUBLISHED, mark.clone()).await);
        assert_eq!(answer.changed, changed, "a second mark changes nothing");
    }
    assert_eq!(rows(&stack, "unpublished").await, expected[1..]);
    assert_eq!(rows(&stack, "unsettled").await, expected);
    let state = stack.client.state(&ids[0]).await.expect(200).json();
    assert_eq!(state["state"], "published", "{state}");
    let listed: UnsettledAnswer = parsed(call(&stack, UNSETTLED, json!({"after": 0, "limit": 10})).await);
    assert_eq!(listed.rows.iter().map(|row| row.position).collect::<Vec<_>>(), [1]);

    // A position with another message's id is another row: it stays.
    let settle = |position: i64, id: &str| json!({"rows": [{"position": position, "messageId": id}]});
    let answer: Changed = parsed(call(&stack, SETTLE, settle(1, &ids[1])).await);
    assert_eq!(answer.changed, 0);
    for changed in [1, 0] {
        let answer: Changed = parsed(call(&stack, SETTLE, settle(1, &ids[0])).await);
        assert_eq!(answer.changed, changed, "a second settlement changes nothing");
    }
    assert_eq!(rows(&stack, "unsettled").await, expected[1..]);
    let statistics = stack.statistics().await;
    assert_eq!((statistics.messages, statistics.accepted_total), (2, 3), "{statistics:?}");
    assert_eq!(statistics.outbox_id, listed.outbox_id);
}

async fn the_lease_decides_who_reads(host: Host) {
    let stack = outbox(host, "lease").await;
    let _ = read(&stack, "me", 0, 0, "unpublished").await.problem(409);
    let _: LeaseAnswer = parsed(lease(&stack, "me", 60_000).await);
    let _: LeaseAnswer = parsed(lease(&stack, "me", 60_000).await);
    assert_eq!(lease(&stack, "other", 1_000).await.problem(409)["code"], "lease-held");
    let _ = read(&stack, "other", 0, 0, "unpublished").await.problem(409);
    let _: ReadAnswer = parsed(read(&stack, "me", 0, 0, "unpublished").await);
    // Marking and settling need no lease: what they say is true whoever says it.
    let _: Changed = parsed(call(&stack, SETTLE, json!({"rows": []})).await);

    let _: Changed = parsed(call(&stack, RELEASE, json!({"holder": "other"})).await);
    let _ = lease(&stack, "other", 1_000).await.problem(409);
    let _: Changed = parsed(call(&stack, RELEASE, json!({"holder": "me"})).await);
    let _: LeaseAnswer = parsed(lease(&stack, "other", 1_000).await);
    wait::until("the lease's end", async || {
        let answer = lease(&stack, "me", 60_000).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let _ = read(&stack, "other", 0, 0, "unpublished").await.problem(409);
}

async fn a_read_waits_for_the_first_row(host: Host) {
    let stack = outbox(host, "long-poll").await;
    let _ = lease(&stack, "me", 60_000).await.expect(200);
    let began = Instant::now();
    let nothing: ReadAnswer = parsed(read(&stack, "me", 0, 500, "unpublished").await);
    assert!(nothing.rows.is_empty() && began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());

    let (alice, bob) = names::pair();
    let waiting = read(&stack, "me", 0, 10_000, "unpublished");
    let sending = async {
        stack.client.send(&alice, &bob, "at last").await;
        Instant::now()
    };
    let (answer, sent) = tokio::join!(waiting, sending);
    assert_eq!(parsed::<ReadAnswer>(answer).rows.len(), 1);
    assert!(sent.elapsed() < Duration::from_secs(2), "the row was noticed after {:?}", sent.elapsed());
}

async fn a_read_that_outlives_its_lease_gets_no_row(host: Host) {
    let stack = outbox(host, "late-read").await;
    let (alice, bob) = names::pair();
    let _ = lease(&stack, "me", 500).await.expect(200);
    let waiting = read(&stack, "me", 0, 8_000, "unpublished");
    let sending = async {
        wait::until("the lease's end", async || {
            let answer = lease(&stack, "other", 60_000).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
        stack.client.send(&alice, &bob, "for the other").await;
    };
    let (answer, ()) = tokio::join!(waiting, sending);
    assert_eq!(answer.problem(409)["code"], "lease-held");
    assert_eq!(parsed::<ReadAnswer>(read(&stack, "other", 0, 0, "unpublished").await).rows.len(), 1);
}

async fn each_sending_again_has_a_higher_number(host: Host) {
    let stack = outbox(host, "runs").await;
    let _ = lease(&stack, "me", 60_000).await.expect(200);
    let number = async |after, which: &str| parsed::<ReadAnswer>(read(&stack, "me", after, 0, which).await).run;
    assert_eq!(number(0, "unpublished").await, None);
    let first = number(0, "unsettled").await;
    assert!(first.is_some() && number(1, "unsettled").await.is_none());
    stack.restart_host().await;
    assert!(number(0, "unsettled").await > first);
}

async fn a_restart_keeps_rows_and_id(host: Host) {
    let stack = outbox(host, "restart").await;
    let (alice, bob) = names::pair();
    let id = send::id(&stack.client.send(&alice, &bob, "kept").await);
    let before = stack.statistics().await;
    stack.restart_host().await;
    let after = stack.statistics().await;
    assert_eq!((after.outbox_id, after.messages, after.accepted_total), (before.outbox_id, 1, 1));
    let state = stack.client.state(&id).await.expect(200).json();
    assert_eq!(state["state"], "accepted", "{state}");
}
