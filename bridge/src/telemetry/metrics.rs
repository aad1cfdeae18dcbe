//! Every metric of the bridge, with Prometheus' conventions: base units, `_total` for counters.

use std::time::Duration;

use prometheus::{
    Encoder as _, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use wiber_model::record::Poison;

/// Bounds of durations, seconds: from a fast loopback hop to a long outage.
const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];
/// Bounds of batch sizes, records.
const RECORDS_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// A hop that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// From the 200 to Kafka's log.
    AcceptToPublish,
    /// From Kafka's log to MongoDB.
    PublishToStore,
}

impl Hop {
    fn label(self) -> &'static str {
        match self {
            Self::AcceptToPublish => "accept_to_publish",
            Self::PublishToStore => "publish_to_store",
        }
    }
}

/// A step that works on batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Rows read from an outbox.
    Read,
    /// Rows marked as published.
    Mark,
    /// Rows freed in an outbox.
    Settle,
    /// Records written to MongoDB.
    Store,
}

impl Stage {
    fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mark => "mark",
            Self::Settle => "settle",
            Self::Store => "store",
        }
    }
}

/// An operation that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A call to an outbox.
    Outbox,
    /// A session that produces into Kafka.
    Produce,
    /// Creating and verifying topics.
    Topics,
    /// A write to MongoDB.
    Store,
    /// A read from MongoDB.
    Lookup,
    /// A dead letter.
    DeadLetter,
}

impl Operation {
    fn label(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Produce => "produce",
            Self::Topics => "topics",
            Self::Store => "store",
            Self::Lookup => "lookup",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Every metric; cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Messages an outbox accepted since its file was made; label `outbox`.
    pub messages_accepted_total: IntCounterVec,
    /// Messages Kafka acknowledged; label `outbox`.
    pub messages_published_total: IntCounterVec,
    /// Messages re-sent because of a log gap; label `outbox`.
    pub messages_resent_total: IntCounterVec,
    /// Rows freed because they are stored or dead-lettered; label `outbox`.
    pub messages_settled_total: IntCounterVec,
    /// Messages written to MongoDB.
    pub messages_stored_total: prometheus::IntCounter,
    /// Records that were stored already.
    pub messages_repeated_total: prometheus::IntCounter,
    /// Rows not settled; label `outbox`.
    pub outbox_pending_messages: IntGaugeVec,
    /// Bytes of rows and keys; label `outbox`.
    pub outbox_pending_bytes: IntGaugeVec,
    /// Age of the oldest row; label `outbox`.
    pub outbox_oldest_age_seconds: GaugeVec,
    /// How long the outbox can go on accepting at the present rate while nothing is settled; label `outbox`.
    pub outbox_headroom_seconds: GaugeVec,
    /// Outbox files that were replaced by others; label `outbox`.
    pub outbox_replaced_total: IntCounterVec,
    /// Records in a log gap that no one can read; label `partition`.
    pub log_gap_records: IntGaugeVec,
    /// Partitions this consumer owns.
    pub partitions_assigned: IntGauge,
    /// Dead letters that wait for somebody, as MongoDB has them.
    pub dead_letters_waiting: IntGauge,
    /// How far the group is behind; labels `group`, `topic`, `partition`.
    pub consumergroup_lag: IntGaugeVec,
    dependency_up: IntGaugeVec,
    hop_duration_seconds: HistogramVec,
    end_to_end_seconds: Histogram,
    dead_letters_total: IntCounterVec,
    batch_records: HistogramVec,
    retries_total: IntCounterVec,
}

impl Metrics {
    /// Registers every metric in a registry of its own.
    ///
    /// # Errors
    /// If two metrics share a name, which a test excludes.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let new = Build { registry: &registry };
        let metrics = Self {
            messages_accepted_total: new.counters(
                "wiber_messages_accepted_total",
                "Messages an outbox accepted.",
                &["outbox"],
            )?,
            messages_published_total: new.counters(
                "wiber_messages_published_total",
                "Messages Kafka acknowledged.",
                &["outbox"],
            )?,
            messages_resent_total: new.counters(
                "wiber_messages_resent_total",
                "Messages re-sent because of a log gap.",
                &["outbox"],
            )?,
            messages_settled_total: new.counters("wiber_messages_settled_total", "Outbox rows freed.", &["outbox"])?,
            messages_stored_total: new.counter("wiber_messages_stored_total", "Messages written to MongoDB.")?,
            messages_repeated_total: new
                .counter("wiber_messages_repeated_total", "Records that were stored already.")?,
            outbox_pending_messages: new.gauges(
                "wiber_outbox_pending_messages",
                "Outbox rows not settled.",
                &["outbox"],
            )?,
            outbox_pending_bytes: new.gauges(
                "wiber_outbox_pending_bytes",
                "Bytes of outbox rows and keys.",
                &["outbox"],
            )?,
            outbox_oldest_age_seconds: new.float_gauges(
                "wiber_outbox_oldest_age_seconds",
                "Age of the oldest outbox row.",
                &["outbox"],
            )?,
            outbox_headroom_seconds: new.float_gauges(
                "wiber_outbox_headroom_seconds",
                "Seconds of outage the outbox can still bridge at the present rate.",
                &["outbox"],
            )?,
            outbox_replaced_total: new.counters(
                "wiber_outbox_replaced_total",
                "Outbox files found replaced by others.",
                &["outbox"],
            )?,
            log_gap_records: new.gauges("wiber_log_gap_records", "Records in a log gap.", &["partition"])?,
            dead_letters_waiting: new.gauge("wiber_dead_letters_waiting", "Dead letters that were not replayed.")?,
            partitions_assigned: new.gauge("wiber_partitions_assigned", "Partitions this consumer owns.")?,
            consumergroup_lag: new.gauges(
                "kafka_consumergroup_lag",
                "Records between the group's committed offset and the log's end.",
                &["group", "topic", "partition"],
            )?,
            dependency_up: new.gauges(
                "wiber_dependency_up",
                "Whether a dependency answered lately.",
                &["dependency"],
            )?,
            hop_duration_seconds: new.histograms(
                "wiber_hop_duration_seconds",
                "Time a message took for a hop.",
                SECONDS_BUCKETS,
                &["hop"],
            )?,
            end_to_end_seconds: new.histogram(
                "wiber_end_to_end_seconds",
                "Time from acceptance to MongoDB.",
                SECONDS_BUCKETS,
            )?,
            dead_letters_total: new.counters(
                "wiber_dead_letters_total",
                "Records sent to the dead-letter topic.",
                &["reason"],
            )?,
            batch_records: new.histograms(
                "wiber_batch_records",
                "Records in one batch of a step.",
                RECORDS_BUCKETS,
                &["stage"],
            )?,
            retries_total: new.counters("wiber_retries_total", "Operations tried again.", &["operation"])?,
            registry: registry.clone(),
        };
        // Known label values are shown from the start, so that a rate over the first event is right.
        for reason in Poison::ALL {
            metrics.dead_letters_total.with_label_values(&[reason.code()]);
        }
        Ok(metrics)
    }

    /// The Prometheus text format.
    ///
    /// # Errors
    /// If encoding fails.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Notes how long a hop took; clocks of two machines may disagree, so less than nothing counts as nothing.
    pub fn observe_hop_ms(&self, hop: Hop, from_ms: i64, to_ms: i64) {
        self.hop_duration_seconds.with_label_values(&[hop.label()]).observe(seconds_between(from_ms, to_ms));
    }

    /// Notes how long a message took from acceptance to MongoDB, from Unix milliseconds.
    pub fn observe_end_to_end_ms(&self, accepted_ms: i64, stored_ms: i64) {
        self.end_to_end_seconds.observe(seconds_between(accepted_ms, stored_ms));
    }

    /// Notes a batch.
    pub fn observe_batch(&self, stage: Stage, records: usize) {
        #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
        self.batch_records.with_label_values(&[stage.label()]).observe(records as f64);
    }

    /// Counts a dead letter.
    pub fn count_dead_letter(&self, reason: Poison) {
        self.dead_letters_total.with_label_values(&[reason.code()]).inc();
    }

    /// Counts a retry.
    pub fn count_retry(&self, operation: Operation) {
        self.retries_total.with_label_values(&[operation.label()]).inc();
    }

    /// Notes whether a dependency (`kafka`, `mongodb`) answered.
    pub fn set_dependency(&self, dependency: &str, up: bool) {
        self.dependency_up.with_label_values(&[dependency]).set(i64::from(up));
    }
}

fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    let millis = u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0);
    Duration::from_millis(millis).as_secs_f64()
}

struct Build<'a> {
    registry: &'a Registry,
}

impl Build<'_> {
    fn register<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: Result<M, prometheus::Error>,
    ) -> Result<M, prometheus::Error> {
        let metric = metric?;
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<prometheus::IntCounter, prometheus::Error> {
        self.register(prometheus::IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_distinct_and_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.observe_hop_ms(Hop::AcceptToPublish, 1_000, 1_250);
        metrics.observe_end_to_end_ms(1_000, 900);
        metrics.observe_batch(Stage::Store, 10);
        metrics.count_retry(Operation::Outbox);
        metrics.set_dependency("kafka", true);
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"wiber_hop_duration_seconds_sum{hop="accept_to_publish"} 0.25"#), "{text}");
        assert!(text.contains("wiber_end_to_end_seconds_sum 0\n"), "{text}");
        assert!(text.contains(r#"wiber_dead_letters_total{reason="not-json"} 0"#), "{text}");
        assert!(text.contains(r#"wiber_dependency_up{dependency="kafka"} 1"#), "{text}");
    }
}
