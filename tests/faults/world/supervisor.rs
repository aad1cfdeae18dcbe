//! Starts the host and the bridges again when they end, as systemd or Kubernetes would.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use wiber_tests::node::Node;
use wiber_tests::stack::Stack;

/// How soon an end is noticed.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Supervisor {
    held: Arc<[AtomicBool]>,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(super) fn start(stack: &Arc<Stack>) -> Self {
        let held: Arc<[AtomicBool]> = nodes(stack).map(|_| AtomicBool::new(false)).collect();
        let (stack, seen) = (Arc::clone(stack), Arc::clone(&held));
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                for (node, held) in nodes(&stack).zip(seen.iter()) {
                    if node.ended().is_some() && !held.load(Ordering::Relaxed) {
                        node.start();
                    }
                }
            }
        });
        Self { held, task }
    }

    pub(super) fn hold(&self, stack: &Stack, node: &Node, hold: bool) {
        let index = nodes(stack).position(|other| std::ptr::eq(other, node));
        if let Some(held) = index.and_then(|index| self.held.get(index)) {
            held.store(hold, Ordering::Relaxed);
        }
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

fn nodes(stack: &Stack) -> impl Iterator<Item = &Node> {
    [&stack.host].into_iter().chain(&stack.bridges)
}
