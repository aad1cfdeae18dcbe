//! Memory for large bodies: what the requests of an instance hold of them together is bounded, since a component that
//! runs out of memory fails every request in it.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What each request may hold without being counted, in bytes: a single message.
const SMALL_BYTES: usize = 64 * 1024;
/// What all may hold together beyond that, in bytes. A request needs about eight times its body while it is worked on.
const BYTES_MAX: usize = 40 * 1024 * 1024;
/// How long a body waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// What one request holds, until it is dropped.
#[derive(Default)]
pub(crate) struct Share {
    bytes: usize,
    counted: usize,
}

impl Share {
    /// Waits until there is room for so many bytes more; `false` if there is none in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let more = self.bytes.saturating_sub(SMALL_BYTES).saturating_sub(self.counted);
        let began = Instant::now();
        while HELD.get() + more > BYTES_MAX {
            if began.elapsed() > WAIT_MAX {
                return false;
            }
            spin_sdk::time::sleep(POLL).await;
        }
        HELD.set(HELD.get() + more);
        self.counted += more;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.set(HELD.get() - self.counted);
    }
}
