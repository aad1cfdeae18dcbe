//! The host killed during sends from 16 clients: every message that got a 200 is stored exactly once.

use std::time::Duration;

use libtest_mimic::Trial;
use rand::Rng as _;
use wiber_tests::host::Host;
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::Plan;
use wiber_tests::{checker, names, tests_on};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; a_host_killed_during_sends_loses_nothing]
}

async fn a_host_killed_during_sends_loses_nothing(host: Host) {
    let stack = Plan::new("host-killed").host(host).start().await;
    let load = Load::start(&stack.client, Shape { clients: 16, pace: Duration::from_millis(10) });
    let mut draws = names::draws("host-killed");
    for _ in 0..4 {
        load.progress(draws.random_range(50..300)).await;
        stack.restart_host().await;
    }
    load.progress(50).await;
    checker::check(&stack, &load.finish().await).await;
}
