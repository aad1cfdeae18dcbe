//! When an instance takes further requests: whenever it has done all that it can do for those that it has.
//!
//! wasmtime comes to what a guest has yielded only when nothing else is to be done (low-priority work in its
//! `concurrent.rs`), and a task yields that is woken while it runs. In an unbroken stream of requests what is left to be done for
//! those that are answered would wait for ever and pile up, until the instance has no handles left and traps.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

/// After this long it opens in any case: a guest that yields without end never rests.
const PATIENCE: Duration = Duration::from_millis(250);

/// Open to begin with.
#[derive(Debug)]
pub(crate) struct Gate {
    open: AtomicBool,
    patience: Duration,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { open: AtomicBool::new(true), patience: PATIENCE }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// All that waited has been taken.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    /// Runs `work`, which looks at the gate each time it is polled, and opens the gate whenever `work` has come to rest:
    /// it waits, and for nothing of its own.
    pub(crate) async fn opened_at_rest<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut closed_since = None;
        poll_fn(|cx| {
            woken.outer.register(cx.waker());
            woken.is_set.store(false, Ordering::Relaxed);
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(done);
            }
            if self.is_open() {
                closed_since = None;
                return Poll::Pending;
            }
            let waits_long = closed_since.get_or_insert_with(Instant::now).elapsed() > self.patience;
            if waits_long || !woken.is_set.load(Ordering::Relaxed) {
                closed_since = None;
                self.open.store(true, Ordering::Relaxed);
                // By way of the executor, which has others to poll.
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }
}

/// Passes wake-ups on and remembers them.
#[derive(Default)]
struct Woken {
    is_set: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Relaxed);
        self.outer.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work that closes the gate as often as it finds it open, and yields three times before it rests; the number of the
    /// poll at each opening, as long as the work goes on.
    async fn openings(gate: &Gate, length: Duration) -> Vec<u64> {
        let (mut polls, mut yields, mut found_open) = (0, 0, Vec::new());
        let began = Instant::now();
        let work = poll_fn(|cx| {
            polls += 1;
            if gate.is_open() {
                found_open.push(polls);
                gate.close();
                yields = 3;
            }
            if yields > 0 {
                yields -= 1;
                cx.waker().wake_by_ref();
            }
            if began.elapsed() > length { Poll::Ready(()) } else { Poll::Pending }
        });
        gate.opened_at_rest(work).await;
        found_open
    }

    /// Patience is for one closing, not for all together.
    #[tokio::test]
    async fn it_opens_once_the_work_rests_however_long_that_goes_on() {
        let gate = Gate { patience: Duration::from_millis(400), ..Gate::new() };
        let openings = openings(&gate, Duration::from_millis(600)).await;
        let early = openings.windows(2).find(|pair| pair[1] - pair[0] < 4);
        assert!(openings.len() > 3 && early.is_none(), "{} openings, too early: {early:?}", openings.len());
    }

    #[tokio::test]
    async fn work_that_never_rests_is_not_waited_for() {
        let gate = Gate::new();
        gate.close();
        let work = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if gate.is_open() { Poll::Ready(()) } else { Poll::Pending }
        });
        gate.opened_at_rest(work).await;
    }
}
