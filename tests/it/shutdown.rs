//! SIGTERM: exit code 0 within ten seconds, and nothing in flight is lost.

use libtest_mimic::Trial;
use wiber_tests::load::{Load, Shape};
use wiber_tests::node::Node;
use wiber_tests::stack::{Plan, SHUTDOWN};
use wiber_tests::{checker, servers, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![under_load_nothing_is_lost, without_work_it_ends_too, with_everything_behind_down_it_ends_too]
}

async fn ends_well(node: &Node, who: &str) {
    let status = node.terminate(SHUTDOWN).await;
    assert_eq!(status.code(), Some(0), "{who} ended with {status}:\n{}", node.log_tail());
}

async fn under_load_nothing_is_lost() {
    let stack = Plan::new("shutdown-load").start().await;
    let load = Load::start(&stack.client, Shape { clients: 16, ..Shape::default() });
    load.progress(100).await;
    ends_well(stack.bridge(), "the bridge").await;
    stack.bridge().start();
    load.progress(100).await;
    ends_well(&stack.host, "the host").await;
    stack.host.start();
    stack.alive().await;
    load.progress(100).await;
    stack.ready().await;
    checker::check(&stack, &load.finish().await).await;
}

async fn without_work_it_ends_too() {
    let stack = Plan::new("shutdown-idle").start().await;
    ends_well(stack.bridge(), "the bridge").await;
    ends_well(&stack.host, "the host").await;
}

async fn with_everything_behind_down_it_ends_too() {
    let kafka = servers::disturbable_kafka().await;
    let stack = Plan::new("shutdown-down").kafka(&kafka.bootstrap_servers()).start().await;
    let load = Load::start(&stack.client, Shape::default());
    load.progress(50).await;
    kafka.pause().expect("it runs");
    stack.mongo_link.pause();
    stack.readiness(503, |body| body["kafka"] == "disconnected" && body["mongodb"] == "disconnected").await;
    ends_well(stack.bridge(), "the bridge").await;
    ends_well(&stack.host, "the host").await;
    kafka.resume().expect("it runs");
    stack.mongo_link.heal();
    stack.bridge().start();
    stack.host.start();
    stack.alive().await;
    stack.ready().await;
    checker::check(&stack, &load.finish().await).await;
}
