//! Two bridges at once: one takes over from the other, and back.

use libtest_mimic::Trial;
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::Plan;
use wiber_tests::{checker, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![two_bridges_share_the_work_and_take_over]
}

async fn two_bridges_share_the_work_and_take_over() {
    let stack = Plan::new("two-bridges").bridges(2).start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(200).await;
    stack.bridges[0].kill().await;
    stack.bridge_link.lead_to(stack.bridge_addresses[1]);
    load.progress(200).await;
    stack.bridges[0].start();
    stack.bridge_alive(0).await;
    load.progress(200).await;
    stack.bridges[1].kill().await;
    stack.bridge_link.lead_to(stack.bridge_addresses[0]);
    stack.ready().await;
    load.progress(100).await;
    checker::check(&stack, &load.finish().await).await;
}
