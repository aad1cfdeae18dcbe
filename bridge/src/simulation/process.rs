//! Processes made of tasks.
//!
//! A task is a future that waits only for [`Process::ask`], [`Process::sleep`] and the like. It is polled after each
//! event of its process, so one seed always gives one run. A crash drops the tasks, a pause stops polling them; what they
//! have sent goes on in both cases.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::task::noop_waker_ref;

use super::ask::{Lost, Reply, Server, send};
use super::engine::{Ms, Shared};
use super::world::World;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One life of a process: its tasks' view of the world.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: Shared,
    pub(crate) id: usize,
    life: u64,
    /// It was asked to end.
    pub(crate) stopping: Rc<Cell<bool>>,
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
            stopping: Rc::default(),
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

    /// Notes that something has happened at least once.
    pub(crate) fn met(&self, occasion: &'static str) {
        self.world.borrow_mut().engine.met.insert(occasion);
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
