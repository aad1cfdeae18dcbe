//! Programs are stopped, killed and started again, and none outlives the process that started it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wiber_servers::process::{Process, Spec};
use wiber_servers::{Error, command};

const LONG: Duration = Duration::from_secs(20);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// Set in the process that is killed by [`children_die_with_a_killed_parent`].
const PARENT: &str = "WIBER_SERVERS_TEST_PARENT";

fn shell(script: &str, dir: &Path) -> Process {
    Process::spawn(Spec::new("sh", "/bin/sh", dir.join("sh.log")).args(["-c", script])).unwrap()
}

/// Gone, or a zombie that only waits to be reaped by whoever inherited it.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

fn wait_until_gone(pid: u32) {
    let deadline = Instant::now() + LONG;
    while !is_gone(pid) {
        assert!(Instant::now() < deadline, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_stop_ends_a_paused_program_and_it_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell("echo begun; exec sleep 1000", dir.path());
    let first = process.pid();
    process.pause().unwrap();
    assert!(matches!(process.start(), Err(Error::State { .. })));
    assert_eq!(process.stop(LONG).await.signal(), Some(SIGTERM));
    assert!(process.pause().is_err());
    process.start().unwrap();
    assert_ne!(process.pid(), first);
    assert_eq!(process.kill().await.signal(), Some(SIGKILL));
    assert_eq!(process.status().unwrap().signal(), Some(SIGKILL));
}

#[tokio::test]
async fn a_stop_that_is_ignored_ends_in_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done", dir.path());
    process
        .ready(LONG, async || if process.log_tail(1) == "deaf" { Ok(()) } else { Err("hears".into()) })
        .await
        .unwrap();
    assert_eq!(process.stop(Duration::from_millis(300)).await.signal(), Some(SIGKILL));
}

#[tokio::test]
async fn an_early_end_is_reported_with_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell("echo cannot do it; exit 3", dir.path());
    let error = process.ready(LONG, || std::future::ready(Err("no".into()))).await.unwrap_err().to_string();
    assert!(error.contains("cannot do it") && error.contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn a_command_reports_its_pieces_and_its_failure() {
    let mut pieces = Vec::new();
    let mut ok = Command::new("printf");
    ok.arg("1/2\r2/2\nend");
    command::run("trying", "printf", ok, |piece| pieces.push(piece.to_owned())).await.unwrap();
    assert_eq!(pieces, ["1/2", "2/2", "end"]);
    let mut bad = Command::new("sh");
    bad.args(["-c", "echo out; echo why >&2; exit 2"]);
    let error = command::run("trying", "sh", bad, |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("trying failed (exit status: 2)") && error.contains("why"), "{error}");
}

#[tokio::test]
async fn a_dropped_program_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let process = shell("exec sleep 1000", dir.path());
    let pid = process.pid();
    drop(process);
    wait_until_gone(pid);
}

/// Does nothing by itself: it is the parent that the test below runs and kills.
#[test]
fn parent() {
    let Some(dir) = std::env::var_os(PARENT) else { return };
    // Started from a thread that ends at once: its end must not be taken for the process's.
    let process = std::thread::spawn(move || shell("exec sleep 1000", Path::new(&dir))).join().unwrap();
    println!("child {}", process.pid());
    std::thread::sleep(LONG);
}

#[test]
fn children_die_with_a_killed_parent() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent.args(["--exact", "parent", "--nocapture"]).env(PARENT, dir.path()).stdout(Stdio::piped());
    let mut parent = parent.spawn().unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let child: u32 = lines.map_while(Result::ok).find_map(|line| line.split_once("child ")?.1.parse().ok()).unwrap();
    assert!(!is_gone(child));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until_gone(child);
}
