//! One fault after the other; those of different lanes overlap unless they touch the same part.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::calm::Touches;
use crate::injection::Injection;
use crate::rows::{Context, Part, Row};
use crate::world::World;

/// A row that takes longer hangs.
const ROW_MAX: Duration = Duration::from_secs(600);
const PARTS: [Part; 4] = [Part::Host, Part::Bridge, Part::Kafka, Part::Mongo];

/// What lanes have in common.
pub(super) struct Shared {
    begun: Instant,
    parts: [tokio::sync::Mutex<()>; 4],
    touches: Arc<Touches>,
    active: AtomicUsize,
    started: AtomicUsize,
    doing: Mutex<Vec<&'static str>>,
}

impl Shared {
    pub(super) fn new(begun: Instant) -> Self {
        let parts = [const { tokio::sync::Mutex::const_new(()) }; 4];
        let (active, started) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { begun, parts, touches: Arc::default(), active, started, doing: Mutex::default() }
    }

    /// What is being done, for the line of progress.
    pub(super) fn describe(&self) -> String {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner).join(" + ")
    }

    fn doing(&self, change: impl FnOnce(&mut Vec<&'static str>)) {
        change(&mut self.doing.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A sequence of faults that its seed fixes.
pub(super) struct Lane {
    pub(super) index: usize,
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    /// `None`: each row once.
    pub(super) length: Option<Duration>,
    pub(super) short: bool,
}

impl Lane {
    pub(super) async fn run(self, world: Arc<World>, shared: Arc<Shared>) -> Vec<Injection> {
        let mut draws = StdRng::seed_from_u64(self.seed.wrapping_mul(31).wrapping_add(self.index as u64));
        let mut injections = Vec::new();
        let until = self.length.map(|length| Instant::now() + length);
        loop {
            let mut order = self.rows.clone();
            order.shuffle(&mut draws);
            for row in order {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return injections;
                }
                // Drawn here, so that one row's draws do not shift another's.
                let context = Context {
                    world: Arc::clone(&world),
                    draws: StdRng::seed_from_u64(draws.random()),
                    short: self.short,
                    own: row.parts,
                    touches: Arc::clone(&shared.touches),
                    required: Arc::default(),
                };
                injections.push(self.inject(row, context, &world, &shared).await);
            }
            if until.is_none() {
                return injections;
            }
        }
    }

    async fn inject(&self, row: Row, context: Context, world: &Arc<World>, shared: &Shared) -> Injection {
        let mut held = Vec::new();
        // In one order everywhere, so that lanes never wait for each other in a circle.
        for (part, lock) in PARTS.iter().zip(&shared.parts) {
            if row.parts.contains(part) {
                held.push(lock.lock().await);
            }
        }
        shared.touches.change(row.parts);
        let begun = shared.begun.elapsed();
        shared.doing(|doing| doing.push(row.name));
        let beside = shared.active.fetch_add(1, Ordering::Relaxed);
        let started = shared.started.fetch_add(1, Ordering::Relaxed) + 1;
        let required = Arc::clone(&context.required);
        let body = tokio::spawn((row.body)(context));
        let abort = body.abort_handle();
        let outcome = match tokio::time::timeout(ROW_MAX, body).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(panic_text(error.into_panic().as_ref()).into()),
            Err(_) => {
                abort.abort();
                Err(format!("it was not over after {ROW_MAX:?}").into())
            }
        };
        let mut outcome = outcome;
        if outcome.is_err()
            && let Err(error) = world.heal().await
        {
            outcome = outcome.map_err(|first| format!("{first}; and it could not be healed: {error:#}").into());
        }
        let healed = shared.begun.elapsed();
        let recovery = world.recovers().await;
        let overlapped = beside > 0 || shared.started.load(Ordering::Relaxed) != started;
        shared.active.fetch_sub(1, Ordering::Relaxed);
        shared.touches.change(row.parts);
        shared.doing(|doing| {
            if let Some(index) = doing.iter().position(|name| *name == row.name) {
                doing.remove(index);
            }
        });
        let (outcome, recovery) = match (outcome, recovery) {
            (outcome, Ok(recovery)) => (outcome, Some(recovery)),
            (Ok(done), Err(error)) => (Err(format!("{}; not recovered: {error}", done.detail).into()), None),
            (Err(first), Err(error)) => (Err(format!("{first}; not recovered: {error}").into()), None),
        };
        if let Err(error) = &outcome {
            eprintln!("row {} ({}): {error}", row.number, row.name);
        }
        let (lane, ended) = (self.index, shared.begun.elapsed());
        let (row, name, required) = (row.number, row.name, required.counts());
        Injection { row, name, lane, begun, healed, ended, outcome, recovery, overlapped, required }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
