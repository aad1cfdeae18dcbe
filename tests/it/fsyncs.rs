//! Durable before acknowledged, as the kernel sees it: an fsync ends between a request and its 200, and those that ask at
//! once share it.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::tracer::{self, Tracer};
use wiber_tests::{names, tests};

const ONE_BY_ONE: usize = 20;
const CLIENTS: usize = 32;
const EACH: usize = 20;

/// Ignored where system calls cannot be watched.
pub(crate) fn tests() -> Vec<Trial> {
    let trials = tests![
        an_fsync_ends_between_each_request_and_its_answer,
        sends_at_once_share_fsyncs,
        a_repeat_has_its_fsync_with_a_rollback_journal
    ];
    trials.into_iter().map(|trial| trial.with_ignored_flag(!tracer::is_present())).collect()
}

/// From before a request to after its answer, Unix seconds.
type Exchange = (f64, f64);

async fn send(stack: &Stack, count: usize) -> Vec<Exchange> {
    let (alice, bob) = names::pair();
    let mut exchanges = Vec::new();
    for index in 0..count {
        let began = now();
        stack.client.send(&alice, &bob, &index.to_string()).await;
        exchanges.push((began, now()));
    }
    exchanges
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs_f64()
}

/// A host alone, whose outbox is made and its instance warm.
async fn alone(name: &str, journal: &str) -> Stack {
    let stack = Plan::new(name).variable("outbox_journal", journal).bridges(0).start_unready().await;
    send(&stack, 1).await;
    stack
}

/// What `work` did while the host's fsyncs were watched, and the ends of those.
async fn watch(stack: &Stack, work: impl AsyncFn(&Stack) -> Vec<Exchange>) -> (Vec<Exchange>, Vec<f64>) {
    let log = stack.folder().join("fsyncs.log");
    let tracer = Tracer::watch(stack.host.pid(), &log).await.unwrap_or_else(|why| panic!("{why}"));
    let exchanges = work(stack).await;
    drop(tracer);
    (exchanges, tracer::ends(&log))
}

fn assert_each_has_its_fsync(exchanges: &[Exchange], ends: &[f64]) {
    for (began, answered) in exchanges {
        let durable = ends.iter().any(|end| began < end && end <= answered);
        assert!(durable, "no fsync ended between {began:.6} and {answered:.6}: {ends:?}");
    }
}

async fn an_fsync_ends_between_each_request_and_its_answer() {
    for journal in ["wal", "truncate"] {
        let stack = alone("fsyncs", journal).await;
        let (exchanges, ends) = watch(&stack, async |stack: &Stack| send(stack, ONE_BY_ONE).await).await;
        assert_each_has_its_fsync(&exchanges, &ends);
        assert!(ends.len() >= ONE_BY_ONE, "{journal}: {} fsyncs of {ONE_BY_ONE} sends in turn", ends.len());
    }
}

async fn sends_at_once_share_fsyncs() {
    let all_at_once = async |stack: &Stack| {
        let clients = (0..CLIENTS).map(|_| send(stack, EACH));
        futures::future::join_all(clients).await.concat()
    };
    let stack = alone("shared-fsyncs", "wal").await;
    let (exchanges, ends) = watch(&stack, all_at_once).await;
    assert_each_has_its_fsync(&exchanges, &ends);
    let sends = CLIENTS * EACH;
    assert!(ends.len() * 2 < sends, "{} fsyncs of {sends} sends of {CLIENTS} clients at once", ends.len());
}

/// A look-up commits nothing, and whoever wrote what it finds may have ended before its last fsync. (In WAL mode the log is
/// copied when the outbox is opened, see `host_killed`.)
async fn a_repeat_has_its_fsync_with_a_rollback_journal() {
    let stack = alone("rollback-journal", "truncate").await;
    let (alice, bob) = names::pair();
    let key = names::unique("key");
    let answers = RefCell::new(Vec::new());
    let repeat = async |stack: &Stack| {
        let began = now();
        let sent = stack.client.sending(&alice, &bob, "repeated").header("idempotency-key", &key).go().await;
        let exchange = (began, now());
        answers.borrow_mut().push(sent.expect(200).json());
        vec![exchange]
    };
    repeat(&stack).await;
    let (exchanges, ends) = watch(&stack, repeat).await;
    assert_each_has_its_fsync(&exchanges, &ends);
    let answers = answers.into_inner();
    assert_eq!(answers[0], answers[1], "the repeat is answered as the first was");
}
