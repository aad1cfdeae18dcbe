//! How far the consumer group is behind, measured from outside of it.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::inspector::{Committed, Inspector, Watermarks};
use crate::backoff::pause;
use crate::report::Chain;
use crate::telemetry::Metrics;

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_secs(5);

/// How one partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The offset up to which the group has come.
    pub reached: i64,
    /// The log's end.
    pub end: i64,
}

impl Standing {
    fn new(committed: Option<i64>, log: Watermarks) -> Self {
        Self { reached: committed.unwrap_or(log.low), end: log.high }
    }

    /// Records behind.
    #[must_use]
    pub fn behind(self) -> i64 {
        (self.end - self.reached).max(0)
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// By partition; `None` where its broker did not answer.
    pub partitions: Vec<Option<Standing>>,
    /// A number that grows with each measurement.
    pub round: u64,
}

/// Measures until shutdown; the latest measurement is in `latest`, `None` while Kafka does not answer.
pub async fn run(
    inspector: Inspector,
    metrics: Metrics,
    latest: watch::Sender<Option<Lag>>,
    shutdown: CancellationToken,
) {
    for round in 0.. {
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
    let committed = match inspector.committed().await {
        Ok(committed) => committed,
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "the group's lag could not be measured");
            return None;
        }
    };
    let logs = inspector.each_watermarks().await;
    let standing = |(committed, log): (Option<Committed>, Option<Watermarks>)| {
        Some(Standing::new(committed.map(|committed| committed.offset), log?))
    };
    Some(Lag { partitions: committed.into_iter().zip(logs).map(standing).collect(), round })
}

fn show(inspector: &Inspector, metrics: &Metrics, lag: &Lag) {
    let settings = inspector.settings();
    for (partition, standing) in lag.partitions.iter().enumerate() {
        // What is not known is not shown as zero: the last value stays.
        let Some(standing) = standing else { continue };
        metrics
            .consumergroup_lag
            .with_label_values(&[settings.consumer_group.as_str(), settings.topic.as_str(), &partition.to_string()])
            .set(standing.behind());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_committed_offset_is_behind_by_its_whole_log() {
        let behind = |committed| Standing::new(committed, Watermarks { low: 5, high: 9 }).behind();
        assert_eq!(behind(None), 4);
        assert_eq!(behind(Some(7)), 2);
        assert_eq!(behind(Some(9)), 0);
        assert_eq!(behind(Some(12)), 0);
    }
}
