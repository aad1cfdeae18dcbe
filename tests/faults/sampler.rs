//! Once a second: how many messages are acknowledged and how many are stored.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use wiber_tests::mongo::Store;

/// One look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Since the campaign's begin.
    pub(crate) at: Duration,
    pub(crate) acknowledged: u64,
    pub(crate) stored: u64,
}

/// Looks until it is stopped, and shows a line of progress.
pub(crate) struct Sampler {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    /// `acknowledged` counts, `doing` says what is being done, for the line.
    pub(crate) fn start(
        begun: Instant,
        store: Store,
        acknowledged: impl Fn() -> u64 + Send + 'static,
        doing: impl Fn() -> String + Send + 'static,
    ) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&samples);
        let messages = store.collection("messages");
        let task = tokio::spawn(async move {
            let line = wiber_servers::progress::Progress::new().task("Faults");
            let mut clock = tokio::time::interval(Duration::from_secs(1));
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut stored = 0;
            loop {
                clock.tick().await;
                let count = messages.estimated_document_count();
                // While MongoDB is away the last count stands.
                if let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(800), count.into_future()).await {
                    stored = count;
                }
                let sample = Sample { at: begun.elapsed(), acknowledged: acknowledged(), stored };
                line.now(&format!(
                    "{:.0} s, {} acknowledged, {} stored; {}",
                    sample.at.as_secs_f64(),
                    sample.acknowledged,
                    sample.stored,
                    doing()
                ));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self { samples, task }
    }

    pub(crate) fn stop(self) -> Vec<Sample> {
        self.task.abort();
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
