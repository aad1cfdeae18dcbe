//! Start, refusal to start, and end.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;

use crate::harness::{Host, manifest, refused};

#[tokio::test]
async fn only_chosen_components_are_served() {
    let host = Host::start(&["--component", "bare"]);
    assert_eq!(host.get("/bare/static").await.0, 200);
    assert_eq!(host.get("/granted/static").await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_is_named_all_together() {
    let wrong = manifest("no host").replace("[\"data\"]", "[\"data\", \"other\"]");
    let (code, log) = refused(&wrong, &["--component", "granted", "--component", "absent"]);
    assert_eq!(code, Some(2));
    for part in ["other", "no host", "absent"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[tokio::test]
async fn a_component_that_is_not_there() {
    let (code, log) = refused(&manifest("http://a").replace("host_probe.wasm", "nothing.wasm"), &[]);
    assert_eq!(code, Some(1));
    assert!(log.contains("cannot load component"), "{log}");
}

#[tokio::test]
async fn a_taken_address() {
    let host = Host::start(&[]);
    let (code, log) = refused(&manifest("http://a"), &["--listen", &host.address, "-c", "bare"]);
    // The first --listen of the harness is overridden, or both are refused by the command line: either is no start.
    assert!(matches!(code, Some(1 | 2)), "{code:?} {log}");
}

#[tokio::test]
async fn a_signal_lets_requests_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = Host::start(&[]);
        // A connection that sent nothing, and one that sends its headers slowly, hold nothing up.
        let (_idle, mut slow) = (host.connect().await, host.connect().await);
        slow.write_all(b"GET /bare/st").await.unwrap();
        let begun = Instant::now();
        let in_flight = host.get("/bare/sleep?1500");
        let end = async {
            host.until_running("bare", 1).await;
            host.signal(signal);
        };
        let (answer, ()) = tokio::join!(in_flight, end);
        assert_eq!(answer, (200, "slept".to_owned()));
        assert_eq!(host.exit_code().await, Some(0), "{}", host.stderr());
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn the_deadline_ends_requests_that_go_on() {
    let mut host = Host::start(&["--shutdown-deadline-ms", "1000"]);
    let mut stream = host.connect().await;
    stream.write_all(b"GET /bare/sleep?20000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    host.until_running("bare", 1).await;
    let begun = Instant::now();
    host.signal(Signal::TERM);
    assert_eq!(host.exit_code().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut host = Host::start(&[]);
    let mut stream = host.connect().await;
    stream.write_all(b"GET /bare/sleep?20000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    host.until_running("bare", 1).await;
    host.signal(Signal::TERM);
    while !host.stderr().contains("shutting down") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.signal(Signal::TERM);
    assert_eq!(host.exit_code().await, Some(143));
}
