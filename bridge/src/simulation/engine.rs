//! Virtual time: events in order, one source of chance, and the trace.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::world::World;

/// Virtual milliseconds.
pub(crate) type Ms = u64;
/// The world, as tasks reach it. Never borrowed across an await.
pub(crate) type Shared = Rc<RefCell<World>>;
type Action = Box<dyn FnOnce(&mut World)>;

/// Something that happens, and whose tasks are polled then.
pub(crate) struct Event {
    at: Ms,
    number: u64,
    action: Option<Action>,
    process: Option<(usize, u64)>,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The clock, the queue of events, chance, and the trace.
pub(crate) struct Engine {
    pub(crate) now: Ms,
    queue: BinaryHeap<Reverse<Event>>,
    numbers: u64,
    rng: StdRng,
    /// Lines are made only in a replay: they cost more than all the rest.
    pub(crate) traced: bool,
    trace: Vec<String>,
    /// What has happened at least once.
    pub(crate) met: BTreeSet<&'static str>,
}

impl Engine {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { now: 0, queue: BinaryHeap::new(), numbers: 0, rng, traced, trace: Vec::new(), met: BTreeSet::new() }
    }

    /// Does `action` after a while, then polls `process`.
    pub(crate) fn after(&mut self, wait: Ms, process: Option<(usize, u64)>, action: impl FnOnce(&mut World) + 'static) {
        self.push(wait, process, Some(Box::new(action)));
    }

    /// Polls a process after a while.
    pub(crate) fn wake(&mut self, wait: Ms, process: (usize, u64)) {
        self.push(wait, Some(process), None);
    }

    fn push(&mut self, wait: Ms, process: Option<(usize, u64)>, action: Option<Action>) {
        self.numbers += 1;
        self.queue.push(Reverse(Event { at: self.now + wait, number: self.numbers, action, process }));
    }

    fn pop(&mut self) -> Option<Event> {
        let Reverse(event) = self.queue.pop()?;
        self.now = event.at;
        Some(event)
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.random_range(low..=high)
    }

    /// An index below `count`.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        self.rng.random_range(0..count)
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            let line = format!("{:>7} {}", self.now, line());
            self.trace.push(line);
        }
    }

    pub(crate) fn trace(&self) -> &[String] {
        &self.trace
    }
}

/// Takes the next event; returns whose tasks are to be polled. `None`: nothing will happen any more.
pub(crate) fn step(world: &Shared) -> Option<Option<(usize, u64)>> {
    let event = world.borrow_mut().engine.pop()?;
    if let Some(action) = event.action {
        action(&mut world.borrow_mut());
    }
    Some(event.process)
}
