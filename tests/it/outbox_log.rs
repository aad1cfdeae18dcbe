//! What befalls the outbox's files while nobody runs. A write-ahead log that lost commits is refused, not shortened; on the
//! embedded host, which alone can look at the file. A removed file is another outbox.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use wiber_tests::send::id;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![a_log_that_was_damaged_is_refused, a_file_that_was_removed_is_another_outbox]
}

fn log(stack: &Stack) -> PathBuf {
    stack.folder().join("outbox.db-wal")
}

fn cut(log: &Path) {
    let file = std::fs::File::options().write(true).open(log).expect("a killed host leaves its log");
    let length = file.metadata().expect("it has a length").len();
    file.set_len(length - 5_000).expect("it can be cut");
}

fn flip(log: &Path) {
    let mut bytes = std::fs::read(log).expect("a killed host leaves its log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(log, bytes).expect("it can be written");
}

async fn send(stack: &Stack, count: usize) -> Vec<String> {
    let (alice, bob) = names::pair();
    let mut taken = Vec::new();
    for n in 0..count {
        taken.push(id(&stack.client.send(&alice, &bob, &format!("number {n}")).await));
    }
    taken
}

async fn a_log_that_was_damaged_is_refused() {
    let stack = Plan::new("outbox-log").bridges(0).start_unready().await;
    let mut taken = send(&stack, 20).await;
    for harm in [cut, flip] {
        stack.host.kill().await;
        let whole = std::fs::read(log(&stack)).expect("a killed host leaves its log");
        harm(&log(&stack));
        stack.host.start();
        stack.alive().await;
        let (alice, bob) = names::pair();
        let refusal = stack.client.sending(&alice, &bob, "x").go().await.problem(503);
        assert!(refusal.to_string().contains("damaged"), "{refusal}");
        let readiness = stack.client.get("/health/readiness").await.expect(503).json();
        assert_eq!(readiness["outbox"], "not durable", "{readiness}");
        assert!(stack.host.log().contains("the write-ahead log is damaged"), "{}", stack.host.log_tail());
        // Nothing was dropped meanwhile: with its log mended the outbox is whole again, without a restart.
        std::fs::write(log(&stack), whole).expect("the log can be written");
        taken.extend(send(&stack, 5).await);
        for message in &taken {
            let _ = stack.client.get(&format!("/messages/id/{message}")).await.expect(200);
        }
    }
}

async fn a_file_that_was_removed_is_another_outbox() {
    let stack = Plan::new("outbox-gone").bridges(0).start_unready().await;
    send(&stack, 1).await;
    let before = stack.statistics().await;
    stack.host.kill().await;
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(stack.folder().join(format!("outbox.db{end}"))).expect("a killed host leaves its files");
    }
    stack.host.start();
    stack.alive().await;
    send(&stack, 1).await;
    let after = stack.statistics().await;
    assert_ne!(after.outbox_id, before.outbox_id);
    assert_eq!((after.messages, after.accepted_total), (1, 1));
}
