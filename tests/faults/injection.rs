//! One fault, from its injection to the recovery: what the report shows.

use std::time::Duration;

/// What a row did.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// How often it injected its fault.
    pub(crate) times: u32,
    /// What it did to whom, and what it measured.
    pub(crate) detail: String,
}

impl Done {
    pub(crate) fn once(detail: impl Into<String>) -> Self {
        Self { times: 1, detail: detail.into() }
    }
}

/// How soon all was well again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    /// From the healing to the first 200.
    pub(crate) accepted: Duration,
    /// From the healing to a message stored that was sent after it.
    pub(crate) stored: Duration,
}

/// One row, carried out once.
#[derive(Debug, Clone)]
pub(crate) struct Injection {
    pub(crate) row: u8,
    pub(crate) name: &'static str,
    pub(crate) lane: usize,
    /// Since the campaign's begin.
    pub(crate) begun: Duration,
    pub(crate) healed: Duration,
    pub(crate) ended: Duration,
    /// What it did, or what did not hold.
    pub(crate) outcome: Result<Done, String>,
    /// `None` where it could not be measured.
    pub(crate) recovery: Option<Recovery>,
    /// Whether another fault was at work at the same time.
    pub(crate) overlapped: bool,
}

impl Injection {
    /// How many faults this was.
    pub(crate) fn times(&self) -> u32 {
        self.outcome.as_ref().map_or(1, |done| done.times)
    }
}
