//! Memory for large bodies: what the requests of an instance hold of them together is bounded, since a component that
//! runs out of memory fails every request in it.
//!
//! A body counts what has come of it, and not what its sender announces: one that comes slowly keeps no others out. Only
//! once it is whole does it need the memory that working on it takes.

use std::cell::Cell;
use std::thread::LocalKey;
use std::time::{Duration, Instant};

/// Bodies up to this length are not counted, in bytes: that of a single message.
const SMALL_BYTES: usize = 64 * 1024;
/// What may have come of bodies that are not whole, in bytes. A buffer that grows takes up to twice as much.
const COMING_MAX: usize = 40 * 1024 * 1024;
/// How long all whole ones may be together, in bytes. A request needs about eight times its body while it is worked on.
const WHOLE_MAX: usize = 40 * 1024 * 1024;
/// How long a body waits for others. It looks, since requests of an instance cannot wake each other through a waker.
const WAIT_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

thread_local! {
    static COMING: Cell<usize> = const { Cell::new(0) };
    static WHOLE: Cell<usize> = const { Cell::new(0) };
}

/// What one request's body counts, until it is dropped.
#[derive(Default)]
pub(crate) struct Share {
    /// What came of it so far.
    bytes: usize,
    coming: usize,
    whole: usize,
}

impl Share {
    /// Takes so many bytes more; `false` if there is no room for them in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let more = self.counted() - self.coming;
        let has_room = take(&COMING, more, COMING_MAX).await;
        self.coming += if has_room { more } else { 0 };
        has_room
    }

    /// It has come to its end; `false` if there is no room to work on it in time.
    pub(crate) async fn complete(&mut self) -> bool {
        let more = self.counted() - self.whole;
        let has_room = take(&WHOLE, more, WHOLE_MAX).await;
        if has_room {
            self.whole += more;
            give_back(&COMING, std::mem::take(&mut self.coming));
        }
        has_room
    }

    fn counted(&self) -> usize {
        if self.bytes > SMALL_BYTES { self.bytes } else { 0 }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        give_back(&COMING, self.coming);
        give_back(&WHOLE, self.whole);
    }
}

async fn take(held: &'static LocalKey<Cell<usize>>, bytes: usize, bytes_max: usize) -> bool {
    if bytes == 0 {
        return true;
    }
    let began = Instant::now();
    while held.get() + bytes > bytes_max {
        if began.elapsed() > WAIT_MAX {
            return false;
        }
        spin_sdk::time::sleep(POLL).await;
    }
    held.set(held.get() + bytes);
    true
}

fn give_back(held: &'static LocalKey<Cell<usize>>, bytes: usize) {
    held.set(held.get() - bytes);
}
