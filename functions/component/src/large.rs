//! Memory for large bodies: what the requests of an instance hold of them together is bounded, since a component that
//! runs out of memory fails every request in it.
//!
//! A body counts what has come of it, and not what its sender announces: one that has hardly begun keeps no others out.
//! Only once it is whole does it need the memory that working on it takes.

use std::cell::Cell;
use std::thread::LocalKey;
use std::time::{Duration, Instant};

/// Bodies up to this length are not counted, in bytes: that of a single message.
const SMALL_BYTES: usize = 64 * 1024;
/// What may have come of bodies that are not whole, in bytes; of the one whose turn it is, more. A buffer that grows takes
/// up to twice as much.
const COMING_MAX: usize = 32 * 1024 * 1024;
/// How long all whole ones may be together, in bytes. A request needs about eight times its body while it is worked on.
const WHOLE_MAX: usize = 40 * 1024 * 1024;
/// How long a body waits for others in all. It looks, since requests of an instance cannot wake each other through a waker.
const WAIT_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

thread_local! {
    static COMING: Cell<usize> = const { Cell::new(0) };
    /// Whether a body has the turn: it may grow to its end, so that bodies which all wait for more do not wait for each
    /// other.
    static TURN: Cell<bool> = const { Cell::new(false) };
    static WHOLE: Cell<usize> = const { Cell::new(0) };
}

/// What one request's body counts, until it is dropped.
#[derive(Default)]
pub(crate) struct Share {
    /// What came of it so far.
    bytes: usize,
    coming: usize,
    whole: usize,
    has_turn: bool,
    waited: Duration,
}

impl Share {
    /// Takes so many bytes more; `false` if there is no room for them in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let more = self.counted() - self.coming;
        if more == 0 {
            return true;
        }
        let began = Instant::now();
        while COMING.get() + more > COMING_MAX && !self.take_turn() {
            if !self.wait(began).await {
                return false;
            }
        }
        self.waited += began.elapsed();
        COMING.set(COMING.get() + more);
        self.coming += more;
        true
    }

    /// It has come to its end; `false` if there is no room to work on it in time.
    pub(crate) async fn complete(&mut self) -> bool {
        let more = self.counted() - self.whole;
        if more == 0 {
            return true;
        }
        let began = Instant::now();
        while WHOLE.get() + more > WHOLE_MAX {
            if !self.wait(began).await {
                return false;
            }
        }
        WHOLE.set(WHOLE.get() + more);
        self.whole += more;
        self.has_come();
        true
    }

    fn take_turn(&mut self) -> bool {
        self.has_turn = self.has_turn || !TURN.replace(true);
        self.has_turn
    }

    /// Waits a little; `false` if it has waited long enough.
    async fn wait(&self, began: Instant) -> bool {
        let is_early = self.waited + began.elapsed() <= WAIT_MAX;
        if is_early {
            spin_sdk::time::sleep(POLL).await;
        }
        is_early
    }

    fn has_come(&mut self) {
        give_back(&COMING, std::mem::take(&mut self.coming));
        if std::mem::take(&mut self.has_turn) {
            TURN.set(false);
        }
    }

    fn counted(&self) -> usize {
        if self.bytes > SMALL_BYTES { self.bytes } else { 0 }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.has_come();
        give_back(&WHOLE, self.whole);
    }
}

fn give_back(held: &'static LocalKey<Cell<usize>>, bytes: usize) {
    held.set(held.get() - bytes);
}
