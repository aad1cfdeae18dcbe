//! Virtual time: events in order, one source of chance, and processes made of tasks that wait for them.
//!
//! A task is a future that waits only for [`Process::ask`], [`Process::sleep`] and the like. It is polled after each
//! event of its process, so one seed always gives one run. A crash drops the tasks, a pause stops polling them; what they
//! have sent goes on in both cases.

use std::cell::{Cell, RefCell};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::task::noop_waker_ref;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::world::World;

/// Virtual milliseconds.
pub(crate) type Ms = u64;
/// What a simulated process is made of.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;
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
}

impl Engine {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { now: 0, queue: BinaryHeap::new(), numbers: 0, rng, traced, trace: Vec::new() }
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

/// No answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request was never sent.
    Refused,
    /// It may be carried out, now or later or never.
    Unknown,
}

/// What a server says to a request that has reached it.
pub(crate) enum Reply<T> {
    /// At once.
    Now(T),
    /// Once the operation with this number is on a majority.
    Majority(u64, T),
}

/// One life of a process: its tasks' view of the world.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: Shared,
    pub(crate) id: usize,
    life: u64,
    tasks: Rc<RefCell<Vec<(u64, Task)>>>,
    spawned: Rc<RefCell<Vec<(u64, Task)>>>,
    aborted: Rc<RefCell<BTreeSet<u64>>>,
    numbers: Rc<Cell<u64>>,
    progress: Rc<Cell<u64>>,
}

impl Process {
    pub(crate) fn new(world: &Shared, id: usize, life: u64) -> Self {
        Self {
            world: Rc::clone(world),
            id,
            life,
            tasks: Rc::default(),
            spawned: Rc::default(),
            aborted: Rc::default(),
            numbers: Rc::default(),
            progress: Rc::default(),
        }
    }

    pub(crate) fn key(&self) -> (usize, u64) {
        (self.id, self.life)
    }

    /// Starts a task; its number is for [`Self::abort`].
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> u64 {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        self.spawned.borrow_mut().push((number, Box::pin(task)));
        self.moved();
        number
    }

    /// Drops a task where it waits.
    pub(crate) fn abort(&self, number: u64) {
        self.aborted.borrow_mut().insert(number);
        self.moved();
    }

    /// Ends the process at once.
    pub(crate) fn kill(&self) {
        self.spawned.borrow_mut().clear();
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
    }

    /// Polls every task until none moves any more.
    pub(crate) fn poll(&self) {
        let mut context = Context::from_waker(noop_waker_ref());
        loop {
            let before = self.progress.get();
            let mut tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            tasks.append(&mut self.spawned.borrow_mut());
            tasks.retain_mut(|(number, task)| {
                let aborted = self.aborted.borrow_mut().remove(number);
                !aborted && task.as_mut().poll(&mut context).is_pending()
            });
            self.tasks.borrow_mut().append(&mut tasks);
            if self.progress.get() == before && self.spawned.borrow().is_empty() {
                return;
            }
        }
    }

    fn moved(&self) {
        self.progress.set(self.progress.get() + 1);
    }

    pub(crate) fn now(&self) -> Ms {
        self.world.borrow().engine.now
    }

    /// Lets this process be polled after a while.
    pub(crate) fn wake_after(&self, wait: Ms) {
        self.world.borrow_mut().engine.wake(wait, self.key());
    }

    /// Writes a line of the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        self.world.borrow_mut().engine.note(line);
    }

    /// Waits until `ready`, which is looked at after each event of this process.
    pub(crate) fn until(&self, mut ready: impl FnMut() -> bool) -> impl Future<Output = ()> {
        let progress = Rc::clone(&self.progress);
        poll_fn(move |_| {
            if ready() {
                progress.set(progress.get() + 1);
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }

    /// Waits for this process's next event.
    pub(crate) fn turn(&self) -> impl Future<Output = ()> {
        let mut waited = false;
        poll_fn(move |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending })
    }

    pub(crate) fn sleep(&self, wait: Ms) -> impl Future<Output = ()> {
        let world = Rc::clone(&self.world);
        let until = self.now() + wait;
        world.borrow_mut().engine.wake(wait, self.key());
        self.until(move || world.borrow().engine.now >= until)
    }

    /// A wait like those of `backoff::Backoff`: from `first`, doubling to `max`, shortened by chance.
    pub(crate) fn pause(&self, wait: &mut Ms, max: Ms) -> impl Future<Output = ()> {
        let full = *wait;
        *wait = (full * 2).min(max);
        let shortened = self.world.borrow_mut().engine.between(full / 2, full);
        self.sleep(shortened.max(1))
    }

    /// Asks a server: `run` is what it does when the request reaches it.
    pub(crate) fn ask<T: 'static>(
        &self,
        server: Server,
        run: impl FnOnce(&mut World) -> T + 'static,
    ) -> impl Future<Output = Result<T, Lost>> {
        self.ask_for(server, move |world| Reply::Now(run(world)))
    }

    /// The same, where the answer may have to wait for a majority.
    pub(crate) fn ask_for<T: 'static>(
        &self,
        server: Server,
        run: impl FnOnce(&mut World) -> Reply<T> + 'static,
    ) -> impl Future<Output = Result<T, Lost>> {
        let slot: Rc<RefCell<Option<Result<T, Lost>>>> = Rc::default();
        send(&mut self.world.borrow_mut(), self.key(), server, Rc::clone(&slot), run);
        let progress = Rc::clone(&self.progress);
        poll_fn(move |_| match slot.borrow_mut().take() {
            Some(answer) => {
                progress.set(progress.get() + 1);
                Poll::Ready(answer)
            }
            None => Poll::Pending,
        })
    }
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// An outbox.
    Outbox(usize),
    /// Kafka: its log, its coordinator, its metadata.
    Kafka,
    /// MongoDB.
    Mongo,
}

/// How long a caller waits for an answer.
const TIMEOUT: Ms = 2_000;
type Slot<T> = Rc<RefCell<Option<Result<T, Lost>>>>;

fn send<T: 'static>(
    world: &mut World,
    caller: (usize, u64),
    server: Server,
    slot: Slot<T>,
    run: impl FnOnce(&mut World) -> Reply<T> + 'static,
) {
    let there = world.latency();
    if world.is_down(server) {
        let (wait, lost) = if world.engine.chance(0.5) { (there, Lost::Refused) } else { (TIMEOUT, Lost::Unknown) };
        return answer(world, wait, caller, slot, Err(lost));
    }
    if !world.loses() {
        return world.engine.after(there, None, move |world| arrive(world, caller, server, Some(slot), run));
    }
    answer(world, TIMEOUT, caller, Rc::clone(&slot), Err(Lost::Unknown));
    // The request is lost; or the answer; or the request is carried out long after nobody waits for it any more.
    let late = match world.engine.between(0, 3) {
        0 => return,
        1 => world.engine.between(TIMEOUT, 30_000),
        _ => there,
    };
    world.engine.after(late, None, move |world| arrive(world, caller, server, None, run));
}

fn arrive<T: 'static>(
    world: &mut World,
    caller: (usize, u64),
    server: Server,
    slot: Option<Slot<T>>,
    run: impl FnOnce(&mut World) -> Reply<T>,
) {
    if world.is_down(server) {
        if let Some(slot) = slot {
            answer(world, TIMEOUT, caller, slot, Err(Lost::Unknown));
        }
        return;
    }
    match run(world) {
        Reply::Now(value) => {
            let back = world.latency();
            if let Some(slot) = slot {
                answer(world, back, caller, slot, Ok(value));
            }
        }
        Reply::Majority(operation, value) => {
            let replicated = world.latency() * 2;
            world.engine.after(replicated, None, move |world| {
                let kept = world.mongo.replicate(operation);
                let back = world.latency();
                let Some(slot) = slot else { return };
                match kept {
                    true => answer(world, back, caller, slot, Ok(value)),
                    false => answer(world, TIMEOUT, caller, slot, Err(Lost::Unknown)),
                }
            });
        }
    }
}

fn answer<T: 'static>(world: &mut World, wait: Ms, caller: (usize, u64), slot: Slot<T>, result: Result<T, Lost>) {
    world.engine.after(wait, Some(caller), move |_| {
        slot.borrow_mut().get_or_insert(result);
    });
}
