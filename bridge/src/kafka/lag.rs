//! How far the consumer group is behind, measured from outside of it.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::inspector::{Inspector, Watermarks};
use crate::backoff::pause;
use crate::report::Chain;
use crate::telemetry::Metrics;

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_secs(5);

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Records behind, by partition.
    pub records: Vec<i64>,
    /// A number that grows with each measurement.
    pub round: u64,
}

impl Lag {
    /// Whether the group has come to the end of every partition.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.records.iter().all(|records| *records == 0)
    }
}

/// Measures until shutdown; the latest measurement is in `latest`, `None` while Kafka does not answer.
pub async fn run(
    inspector: Inspector,
    metrics: Metrics,
    latest: watch::Sender<Option<Lag>>,
    shutdown: CancellationToken,
) {
    for round in 0_u64.. {
        let lag = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            lag = measure(&inspector, round) => lag,
        };
        if let Some(lag) = &lag {
            show(&inspector, &metrics, lag);
        }
        latest.send_replace(lag);
        if !pause(INTERVAL, &shutdown).await {
            return;
        }
    }
}

// Committed offsets are asked for first: asked for last, records consumed in between would make a lag below zero.
async fn measure(inspector: &Inspector, round: u64) -> Option<Lag> {
    let answers = async { Ok::<_, super::Error>((inspector.committed().await?, inspector.all_watermarks().await?)) };
    match answers.await {
        Ok((committed, watermarks)) => {
            let records = committed.into_iter().zip(watermarks).map(|(c, w)| behind(c, w)).collect();
            Some(Lag { records, round })
        }
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "the group's lag could not be measured");
            None
        }
    }
}

fn behind(committed: Option<i64>, log: Watermarks) -> i64 {
    (log.high - committed.unwrap_or(log.low)).max(0)
}

fn show(inspector: &Inspector, metrics: &Metrics, lag: &Lag) {
    let settings = inspector.settings();
    for (partition, records) in lag.records.iter().enumerate() {
        metrics
            .consumergroup_lag
            .with_label_values(&[settings.consumer_group.as_str(), settings.topic.as_str(), &partition.to_string()])
            .set(*records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_committed_offset_is_behind_by_its_whole_log() {
        let log = Watermarks { low: 5, high: 9 };
        assert_eq!(behind(None, log), 4);
        assert_eq!(behind(Some(7), log), 2);
        assert_eq!(behind(Some(9), log), 0);
        assert_eq!(behind(Some(12), log), 0);
    }
}
