//! The wish to send all unsettled rows of one outbox again, shared by who notices the need and who does it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Asked for by settling, done by draining.
#[derive(Debug, Default)]
pub(super) struct SendAgain {
    asked: Notify,
    under_way: AtomicBool,
}

impl SendAgain {
    /// Asks for it.
    pub(super) fn ask(&self) {
        self.under_way.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Waits until it is asked for.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Notes whether a session that begins sends again, or that one has done so.
    pub(super) fn set_under_way(&self, under_way: bool) {
        self.under_way.store(under_way, Ordering::Relaxed);
    }

    /// Whether it was asked for or has begun, and is not done.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed)
    }
}
