//! What befalls the outbox's file: removed, or on a disk that fills up. Send refuses, readiness says so, and what got a 200
//! is there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use wiber_tests::host::Host;
use wiber_tests::names;
use wiber_tests::send::id;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{run, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host;
        a_file_removed_while_running_is_given_up_within_a_second,
        an_outbox_that_takes_its_place_is_reported_and_drained,
        a_full_disk_is_said_and_gets_over,
    ]
}

const SEND_READINESS: &str = "/health/readiness/send";

/// Sends until one is refused; returns the ids of those that were taken.
async fn until_refused(stack: &Stack, content: &str) -> Vec<String> {
    let (alice, bob) = names::pair();
    let taken = std::cell::RefCell::new(Vec::new());
    wait::until("a refused send", async || {
        let answer = stack.client.sending(&alice, &bob, content).go().await;
        if answer.status == 200 {
            taken.borrow_mut().push(id(&answer.json()));
            return Err(answer.to_string());
        }
        let _ = answer.problem(503);
        Ok(())
    })
    .await;
    taken.into_inner()
}

async fn until_taken(stack: &Stack) -> String {
    let (alice, bob) = names::pair();
    wait::until("a send that is taken", async || {
        let answer = stack.client.sending(&alice, &bob, "x").go().await;
        if answer.status == 200 { Ok(id(&answer.json())) } else { Err(answer.to_string()) }
    })
    .await
}

async fn send_readiness(stack: &Stack, status: u16, outbox: &str) {
    wait::until(&format!("{outbox:?} of the outbox"), async || {
        let answer = stack.client.get(SEND_READINESS).await;
        let as_expected = answer.status == status && answer.json()["outbox"] == outbox;
        if as_expected { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

async fn a_file_removed_while_running_is_given_up_within_a_second(host: Host) {
    let stack = Plan::new("removed").host(host).bridges(0).start_unready().await;
    let before = until_taken(&stack).await;
    send_readiness(&stack, 200, "accepting").await;
    remove_files(&stack);
    // On Spin an instance hardly outlives its request: SQLite refuses one that still has the removed file open, and any
    // other opens the new one, so that nothing need be refused.
    if host == Host::Embedded {
        let removed = Instant::now();
        until_refused(&stack, "after the removal").await;
        assert!(removed.elapsed() < Duration::from_secs(2), "refused only after {:?}", removed.elapsed());
    }
    let after = until_taken(&stack).await;
    stack.restart_host().await;
    let _ = stack.client.get(&format!("/messages/id/{after}")).await.expect(200);
    assert_ne!(stack.client.get(&format!("/messages/id/{before}")).await.status, 200, "it was in the removed file");
}

fn remove_files(stack: &Stack) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(stack.folder().join(format!("outbox.db{end}")));
    }
}

async fn an_outbox_that_takes_its_place_is_reported_and_drained(host: Host) {
    let stack = Plan::new("replaced").host(host).start().await;
    let (alice, bob) = names::pair();
    stack.client.send(&alice, &bob, "in the first outbox").await;
    let _ = stack.client.readable(&alice, &bob, 1).await;
    let first = stack.statistics().await.outbox_id;
    remove_files(&stack);
    // What is taken within a second may still go into the removed file, and be gone with it.
    wait::until("a message stored from the new file", async || {
        let id = until_taken(&stack).await;
        for _ in 0..20 {
            let answer = stack.client.get(&format!("/messages/id/{id}")).await;
            if answer.status == 200 && answer.json()["state"] == "stored" {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("{id} is not stored"))
    })
    .await;
    let body = stack.readiness_of_any_status(|body| body["notes"].to_string().contains(&first)).await;
    assert_eq!(body["outbox"], "accepting", "{body}");
}

/// A small file system over a folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount.
    fn over(folder: &Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder).status();
        mount.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        // Fails when nothing more fits, which is what it is for.
        let _ = std::fs::write(&path, vec![b'x'; 32 * 1024 * 1024]);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn a_full_disk_is_said_and_gets_over(host: Host) {
    let folder = run::subfolder(&names::unique("small-disk"));
    let Some(disk) = SmallDisk::over(&folder) else {
        println!("a_full_disk_is_said_and_gets_over: not tried, since mounting a small disk is not permitted here");
        return;
    };
    let stack = Plan::new("disk").host(host).outbox(folder).start().await;
    let mut taken = vec![until_taken(&stack).await];
    send_readiness(&stack, 200, "accepting").await;
    let filler = disk.fill();
    // Nobody sends: the probe finds it out by itself.
    send_readiness(&stack, 503, "not durable").await;
    taken.extend(until_refused(&stack, &"x".repeat(5_000)).await);
    let body = stack.readiness(503, |body| body["outbox"] == "not durable").await;
    assert!(body["notes"].to_string().contains("full"), "the reason is named: {body}");
    std::fs::remove_file(filler).expect("the filler can be removed");
    send_readiness(&stack, 200, "accepting").await;
    stack.ready().await;
    taken.push(until_taken(&stack).await);
    for message in taken {
        let _ = stack.client.get(&format!("/messages/id/{message}")).await.expect(200);
    }
}
