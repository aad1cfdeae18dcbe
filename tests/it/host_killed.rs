//! The host killed during sends from 16 clients: every message that got a 200 is stored exactly once.

use std::time::Duration;

use libtest_mimic::Trial;
use rand::Rng as _;
use wiber_tests::host::Host;
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::Plan;
use wiber_tests::{checker, names, tests_on};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; a_host_killed_during_sends_loses_nothing, a_repeat_after_a_kill_is_answered_from_the_disk]
}

async fn a_host_killed_during_sends_loses_nothing(host: Host) {
    let stack = Plan::new("host-killed").host(host).start().await;
    let load = Load::start(&stack.client, Shape { clients: 16, pace: Duration::from_millis(10), ..Shape::default() });
    let mut draws = names::draws("host-killed");
    for _ in 0..4 {
        load.progress(draws.random_range(50..300)).await;
        stack.restart_host().await;
    }
    load.progress(50).await;
    checker::check(&stack, &load.finish().await).await;
}

/// The killed host may have ended between the write and its fsync, so the next one may not trust what it reads: it copies
/// the log into the database, synced, before it answers.
async fn a_repeat_after_a_kill_is_answered_from_the_disk(host: Host) {
    let stack = Plan::new("host-repeat").host(host).bridges(0).start_unready().await;
    let (alice, bob) = names::pair();
    let (content, key) = (names::unique("repeated"), names::unique("key"));
    let send = async || stack.client.sending(&alice, &bob, &content).header("idempotency-key", &key).go().await;
    let first = send().await.expect(200).json();
    stack.host.kill().await;
    stack.host.start();
    stack.alive().await;
    assert_eq!(send().await.expect(200).json(), first);
    let database = std::fs::read(stack.folder().join("outbox.db")).expect("the outbox is a file");
    assert!(
        database.windows(content.len()).any(|window| window == content.as_bytes()),
        "the message stands in the log only"
    );
}
