//! Memory for large bodies: what the requests of an instance hold of them together is bounded, since a component that
//! runs out of memory fails every request in it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use wiber_model::BATCH_BODY_BYTES_MAX;

/// Bodies up to this length are not counted, in bytes: that of a single message.
const SMALL_BYTES: usize = 64 * 1024;
/// How long all longer ones may be together, in bytes. A request needs about eight times its body while it is worked on.
const BYTES_MAX: usize = 40 * 1024 * 1024;
/// How long a body waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// What one request's body counts, until it is dropped.
pub(crate) struct Share {
    /// How long the body is, or the longest there is where that is not known.
    expected: usize,
    /// What came of it so far.
    bytes: usize,
    counted: usize,
}

impl Share {
    /// For a body with this `content-length`.
    pub(crate) fn of(length: Option<usize>) -> Self {
        Self { expected: length.unwrap_or(BATCH_BODY_BYTES_MAX).min(BATCH_BODY_BYTES_MAX), bytes: 0, counted: 0 }
    }

    /// Takes so many bytes more. With the first that are counted it waits until there is room for all of the body, so that
    /// bodies that wait hold nothing; `false` if there is none in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let wanted = self.bytes.max(self.expected);
        if self.bytes <= SMALL_BYTES || self.counted >= wanted {
            return true;
        }
        let (more, began) = (wanted - self.counted, Instant::now());
        while HELD.get() + more > BYTES_MAX {
            if began.elapsed() > WAIT_MAX {
                return false;
            }
            spin_sdk::time::sleep(POLL).await;
        }
        HELD.set(HELD.get() + more);
        self.counted = wanted;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.set(HELD.get() - self.counted);
    }
}
