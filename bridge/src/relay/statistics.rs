//! Shows an outbox's depth as metrics, and whether two URLs lead to it.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wiber_model::outbox::Statistics;

use super::addresses::Addresses;
use super::headroom::Headroom;
use super::source::Source;
use crate::backoff::pause;
use crate::report::Chain;
use crate::telemetry::Metrics;

/// Time between two readings.
const INTERVAL: Duration = Duration::from_secs(2);

/// Reads until shutdown.
pub(super) async fn run(source: Source, metrics: Metrics, addresses: Addresses, shutdown: CancellationToken) {
    let mut headroom = Headroom::default();
    let mut last = Instant::now();
    loop {
        let answer = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            answer = source.statistics() => answer,
        };
        match answer {
            Ok(statistics) => {
                let elapsed = last.elapsed().as_secs_f64();
                last = Instant::now();
                addresses.met(source.url(), &statistics.outbox_id);
                show(&metrics, source.url(), &statistics, headroom.seconds(&statistics, elapsed));
            }
            Err(error) => {
                addresses.lost(source.url());
                tracing::debug!(outbox = source.url(), error = %Chain(&error), "no statistics");
            }
        }
        if !pause(INTERVAL, &shutdown).await {
            return;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
fn show(metrics: &Metrics, url: &str, now: &Statistics, headroom_seconds: f64) {
    let label = [url];
    metrics.outbox_pending_messages.with_label_values(&label).set(now.messages);
    metrics.outbox_pending_bytes.with_label_values(&label).set(now.bytes);
    metrics.outbox_oldest_age_seconds.with_label_values(&label).set(now.oldest_age_ms as f64 / 1_000.0);
    metrics.outbox_headroom_seconds.with_label_values(&label).set(headroom_seconds);
    // The outbox counts; a replaced one counts from zero, which Prometheus reads as a restart.
    let accepted = metrics.messages_accepted_total.with_label_values(&label);
    let total = u64::try_from(now.accepted_total).unwrap_or(0);
    if total < accepted.get() {
        accepted.reset();
    }
    accepted.inc_by(total - accepted.get());
}
