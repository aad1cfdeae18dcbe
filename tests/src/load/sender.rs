//! One client: a request after the other, each tried until it is known what became of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Entry, Outcome, Waiting};
use crate::client::{Call, Client};
use crate::{names, send};

/// Between two attempts of the same request.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// For how long one request is tried after the load was told to stop.
const LAST_TRY: Duration = Duration::from_secs(30);
/// How often a fickle client gives up what was refused.
const GIVES_UP: f64 = 0.2;
/// How often it sends again what got a 200.
const REPEATS: f64 = 0.05;
/// How often it sends a batch, and of how many messages at most.
const BATCHES: f64 = 0.05;
const BATCH_MAX: usize = 20;

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answered {
    /// A 200, with these ids.
    Ok(Vec<String>),
    /// Certainly not taken.
    Fail,
    /// It may have been taken.
    Unknown,
}

pub(super) struct Sender {
    pub(super) draws: StdRng,
    pub(super) client: Client,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) acknowledged: Arc<AtomicUsize>,
    pub(super) refused: Arc<AtomicUsize>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) index: usize,
    pub(super) latencies: Arc<Mutex<Histogram<u64>>>,
    pub(super) fickle: bool,
}

/// What is sent under one key.
struct Request {
    contents: Vec<String>,
    is_batch: bool,
    key: String,
}

impl Sender {
    pub(super) async fn run(mut self, pace: Duration) -> Vec<Entry> {
        let mut log = Vec::new();
        let mut clock = tokio::time::interval(pace.max(Duration::from_millis(1)));
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.stop.load(Ordering::Relaxed) {
            clock.tick().await;
            let request = self.draw();
            log.extend(self.send(&request).await);
        }
        log
    }

    fn draw(&mut self) -> Request {
        let is_batch = self.fickle && self.draws.random_bool(BATCHES);
        let count = if is_batch { self.draws.random_range(1..=BATCH_MAX) } else { 1 };
        let contents = (0..count).map(|_| names::unique(&"x".repeat(self.draws.random_range(1..200)))).collect();
        Request { contents, is_batch, key: names::unique("key") }
    }

    /// One request, tried until its outcome is known; with further entries where a repeat was answered with other ids.
    async fn send(&mut self, request: &Request) -> Vec<Entry> {
        let started = Instant::now();
        let mut answered = Answered::Fail;
        let mut stopped_at = None;
        loop {
            answered = worse(answered, self.attempt(request).await);
            if let Answered::Ok(ids) = &answered {
                self.acknowledged.fetch_add(ids.len(), Ordering::Relaxed);
                break;
            }
            self.refused.fetch_add(1, Ordering::Relaxed);
            if self.fickle && answered == Answered::Fail && self.draws.random_bool(GIVES_UP) {
                break;
            }
            if self.stop.load(Ordering::Relaxed) && stopped_at.get_or_insert_with(Instant::now).elapsed() > LAST_TRY {
                break;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        let mut entries = self.entries(request, &answered, started);
        if self.fickle && matches!(answered, Answered::Ok(_)) && self.draws.random_bool(REPEATS) {
            let again = self.attempt(request).await;
            if matches!(again, Answered::Ok(_)) && again != answered {
                entries.extend(self.entries(request, &again, started));
            }
        }
        entries
    }

    fn entries(&self, request: &Request, answered: &Answered, started: Instant) -> Vec<Entry> {
        let ended = Instant::now();
        let entry = |(index, content): (usize, &String)| Entry {
            from: self.from.clone(),
            to: self.to.clone(),
            content: content.clone(),
            batch: request.is_batch.then(|| request.key.clone()),
            outcome: match answered {
                Answered::Ok(ids) => Outcome::Ok(ids.get(index).cloned().unwrap_or_default()),
                Answered::Fail => Outcome::Fail,
                Answered::Unknown => Outcome::Unknown,
            },
            started,
            ended,
        };
        request.contents.iter().enumerate().map(entry).collect()
    }

    fn call(&self, request: &Request) -> Call {
        let call = match (request.is_batch, request.contents.as_slice()) {
            (false, [content]) => self.client.sending(&self.from, &self.to, content),
            (_, contents) => {
                let message = |content| json!({"fromUser": self.from, "toUser": self.to, "content": content});
                self.client.call("POST", "/messages/batch").json(&contents.iter().map(message).collect::<Value>())
            }
        };
        call.header("idempotency-key", &request.key)
    }

    async fn attempt(&self, request: &Request) -> Answered {
        let (call, began) = (self.call(request), Instant::now());
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(self.index, began);
        let answered = call.attempt().await;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.index);
        if answered.as_ref().is_ok_and(|answer| answer.status == 200) {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            // A resizing histogram takes any value.
            let _ = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(micros);
        }
        if let Ok(answer) = &answered
            && answer.status == 200
            && request.is_batch
        {
            return Answered::Ok(answer.array().iter().map(send::id).collect());
        }
        match Outcome::of(&answered) {
            Outcome::Ok(id) => Answered::Ok(vec![id]),
            Outcome::Fail => Answered::Fail,
            Outcome::Unknown => Answered::Unknown,
        }
    }
}

/// Once an attempt is unknown, only a 200 settles the request.
fn worse(so_far: Answered, now: Answered) -> Answered {
    match (so_far, now) {
        (_, ok @ Answered::Ok(_)) => ok,
        (Answered::Unknown, _) => Answered::Unknown,
        (_, now) => now,
    }
}
