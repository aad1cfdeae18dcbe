//! Group commit: sends that arrive while a commit runs share the next one.
//!
//! The first to arrive commits at once, in its own task and without a detour; whoever comes meanwhile queues up, and a
//! background task commits the queue as one statement, again and again until it is empty. Waiters are woken together in
//! a task of their own, so that the next commit starts at once.
//!
//! A component's tasks cannot wake each other through a Rust waker, so a waiter waits on a [`Bell`].

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::{Batch, Bounds, Connection, Database, Error};

/// Most messages in one statement; a batch is never divided.
const GROUP_MESSAGES_MAX: usize = 1_000;

/// How one task wakes another, and how a task is started.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Bell {
    /// Rings once.
    type Ringer: 'static;
    /// Waits for the ring.
    type Listener;

    /// A new pair.
    fn new() -> (Self::Ringer, Self::Listener);
    /// Wakes the listeners.
    async fn ring_all(ringers: Vec<Self::Ringer>);
    /// Waits for the ring, or for the ringer to be dropped.
    async fn listen(listener: Self::Listener);
    /// Runs a task besides this one.
    fn spawn(task: impl Future<Output = ()> + 'static);
}

/// Gives out a judged connection and takes it back.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Source {
    /// The kind of connection.
    type Connection: Connection;

    /// A connection for one task.
    async fn take(&self) -> Result<Database<Self::Connection>, Error>;
    /// Takes it back after it worked; one that failed with an unknown outcome is dropped instead.
    fn put(&self, database: Database<Self::Connection>);
}

/// What became of a batch: whether it was inserted.
type Outcome = Result<bool, Error>;

struct Waiter<R> {
    batch: Batch,
    outcome: Rc<RefCell<Option<Outcome>>>,
    ringer: Option<R>,
}

/// The queue of one component instance and whoever commits it.
pub struct Committer<B: Bell> {
    queue: RefCell<Vec<Waiter<B::Ringer>>>,
    committing: Cell<bool>,
}

impl<B: Bell> Default for Committer<B> {
    fn default() -> Self {
        Self { queue: RefCell::new(Vec::new()), committing: Cell::new(false) }
    }
}

impl<B: Bell + 'static> Committer<B> {
    /// Makes the batch durable together with whatever else is waiting. `Ok(false)`: its key is taken or the outbox is
    /// full, and nothing was written for it.
    ///
    /// # Errors
    /// See [`Error::nothing_written`].
    pub async fn commit<S: Source + 'static>(self: &Rc<Self>, source: &Rc<S>, batch: Batch, bounds: Bounds) -> Outcome {
        if cfg!(feature = "mutant-early-answer") {
            let source = Rc::clone(source);
            B::spawn(async move { drop(accept(&*source, &[batch], bounds).await) });
            return Ok(true);
        }
        let outcome = Rc::new(RefCell::new(None));
        if self.committing.replace(true) {
            let (ringer, listener) = B::new();
            self.queue.borrow_mut().push(Waiter { batch, outcome: Rc::clone(&outcome), ringer: Some(ringer) });
            B::listen(listener).await;
        } else {
            self.queue.borrow_mut().push(Waiter { batch, outcome: Rc::clone(&outcome), ringer: None });
            self.commit_group(&**source, bounds).await;
            self.go_on(Rc::clone(source), bounds);
        }
        let taken = outcome.borrow_mut().take();
        if !matches!(taken, Some(Ok(true))) {
            // What was spawned begins when this task is polled next, and this request may yet have to wait for long.
            again().await;
        }
        taken.unwrap_or_else(|| {
            Err(Error::Unknown("the commit that this message waited for ended without a result".into()))
        })
    }

    /// Hands what has queued up meanwhile to a task of its own.
    fn go_on<S: Source + 'static>(self: &Rc<Self>, source: Rc<S>, bounds: Bounds) {
        if self.queue.borrow().is_empty() {
            self.committing.set(false);
            return;
        }
        let this = Rc::clone(self);
        B::spawn(async move {
            while !this.queue.borrow().is_empty() {
                this.commit_group(&*source, bounds).await;
            }
            this.committing.set(false);
        });
    }

    async fn commit_group<S: Source>(&self, source: &S, bounds: Bounds) {
        let group: Vec<_> = {
            let mut queue = self.queue.borrow_mut();
            let sums = queue.iter().scan(0, |messages, waiter| {
                *messages += waiter.batch.entries.len();
                Some(*messages)
            });
            let size = sums.take_while(|messages| *messages <= GROUP_MESSAGES_MAX).count().max(1).min(queue.len());
            queue.drain(..size).collect()
        };
        let (batches, waiters): (Vec<_>, Vec<_>) = group.into_iter().map(|w| (w.batch, (w.outcome, w.ringer))).unzip();
        let result = accept(source, &batches, bounds).await;
        let mut ringers = Vec::with_capacity(waiters.len());
        for (index, (outcome, ringer)) in waiters.into_iter().enumerate() {
            let inserted = result.as_ref().map(|inserted| inserted.get(index) == Some(&true)).map_err(Clone::clone);
            *outcome.borrow_mut() = Some(inserted);
            ringers.extend(ringer);
        }
        if !ringers.is_empty() {
            B::spawn(B::ring_all(ringers));
        }
    }
}

/// Has the task polled once more at once.
async fn again() {
    let mut was_polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn accept<S: Source>(source: &S, batches: &[Batch], bounds: Bounds) -> Result<Vec<bool>, Error> {
    let database = source.take().await?;
    let result = database.accept(batches, bounds).await;
    if result.as_ref().err().is_none_or(Error::nothing_written) {
        source.put(database);
    }
    result
}
