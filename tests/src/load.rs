//! Clients that send all the time, and the log of what became of each message: the oracle that everything else is judged
//! against.

mod sender;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::client::{Client, NoAnswer};
use crate::{names, wait};

use sender::Sender;

/// What a client knows of one message in the end (the words are Jepsen's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It got a 200, with this id.
    Ok(String),
    /// Every attempt was certainly not taken.
    Fail,
    /// It may have been taken.
    Unknown,
}

impl Outcome {
    /// What one attempt tells.
    ///
    /// # Panics
    /// If a valid message was refused as if it were none.
    #[must_use]
    pub fn of(answered: &Result<Answer, NoAnswer>) -> Self {
        match answered {
            Err(NoAnswer::Refused(_)) => Self::Fail,
            Err(NoAnswer::Broken(_)) => Self::Unknown,
            Ok(answer) => match answer.status {
                200 => Self::Ok(crate::send::id(&answer.json())),
                503 => Self::Fail,
                500 | 502 | 504 => Self::Unknown,
                _ => panic!("a valid message was refused: {answer}"),
            },
        }
    }
}

/// One message in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who sent.
    pub from: String,
    /// Who receives.
    pub to: String,
    /// Its text, which no other message has.
    pub content: String,
    /// The batch that it is part of, by its key; the messages of a batch follow each other in the log.
    pub batch: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// When its first attempt began.
    pub started: Instant,
    /// When its last attempt ended.
    pub ended: Instant,
}

/// How to send.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Clients at once; two share a conversation, one in each direction.
    pub clients: usize,
    /// Pause of a client between two messages.
    pub pace: Duration,
    /// Clients that do not behave: a refused message is given up now and then, one that got a 200 is sent again, and some
    /// are sent in batches.
    pub fickle: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { clients: 8, pace: Duration::from_millis(15), fickle: false }
    }
}

/// By client, since when an attempt waits.
type Waiting = Mutex<HashMap<usize, Instant>>;

/// Running clients. Each retries its message under the same idempotency key until it gets a 200, unless it is fickle.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    waiting: Arc<Waiting>,
    latencies: Arc<Mutex<Histogram<u64>>>,
    clients: JoinSet<Vec<Entry>>,
}

impl Load {
    /// Starts the clients.
    #[must_use]
    pub fn start(client: &Client, shape: Shape) -> Self {
        Self::start_counting(client, shape, &Arc::default())
    }

    /// Starts the clients, which count every message that gets a 200 on `acknowledged`.
    #[must_use]
    pub fn start_counting(client: &Client, shape: Shape, acknowledged: &Arc<AtomicUsize>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::clone(acknowledged);
        let (refused, waiting) = (Arc::<AtomicUsize>::default(), Arc::<Waiting>::default());
        let latencies = Arc::new(Mutex::new(Histogram::new(3).expect("three digits can be had")));
        let mut clients = JoinSet::new();
        let mut pair = names::pair();
        for index in 0..shape.clients {
            if index % 2 == 0 {
                pair = names::pair();
            } else {
                pair = (pair.1, pair.0);
            }
            let sender = Sender {
                draws: names::draws(&format!("sender {index}")),
                client: client.clone(),
                from: pair.0.clone(),
                to: pair.1.clone(),
                stop: Arc::clone(&stop),
                acknowledged: Arc::clone(&acknowledged),
                refused: Arc::clone(&refused),
                waiting: Arc::clone(&waiting),
                index,
                latencies: Arc::clone(&latencies),
                fickle: shape.fickle,
            };
            clients.spawn(sender.run(shape.pace));
        }
        Self { stop, acknowledged, refused, waiting, latencies, clients }
    }

    /// How many messages got a 200 so far, with whatever stood on the counter before.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many attempts got anything but a 200 so far, no answer included.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many attempts have waited for their answer for longer than this.
    #[must_use]
    pub fn waiting_for(&self, longer: Duration) -> usize {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.values().filter(|since| since.elapsed() > longer).count()
    }

    /// How long the attempts took that got a 200, microseconds.
    #[must_use]
    pub fn latencies(&self) -> Histogram<u64> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `more` further messages got a 200.
    pub async fn progress(&self, more: usize) {
        let goal = self.acknowledged() + more;
        wait::until(&format!("{more} more acknowledged messages"), async || {
            let now = self.acknowledged();
            if now >= goal { Ok(()) } else { Err(format!("{now} of {goal}")) }
        })
        .await;
    }

    /// Lets every client finish its message and returns the log.
    ///
    /// # Panics
    /// If a client did.
    pub async fn finish(mut self) -> Vec<Entry> {
        self.stop.store(true, Ordering::Relaxed);
        let mut log = Vec::new();
        while let Some(entries) = self.clients.join_next().await {
            log.extend(entries.expect("a client does not panic"));
        }
        log
    }
}
