//! Asks Kafka and MongoDB about once a second whether they are there, so that readiness can answer at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Board;
use crate::backoff::pause;
use crate::kafka::Inspector;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Time between two probes of one dependency.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe may take before the dependency counts as disconnected.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// Probes of MongoDB between two counts of the dead letters.
const COUNT_EVERY: u32 = 5;
const DEAD_LETTERS_NOTE: &str = "dead-letters";

/// Probes until shutdown.
pub async fn run(board: Board, metrics: Metrics, kafka: Inspector, store: Store, shutdown: CancellationToken) {
    tokio::join!(
        probe_kafka(&board, &metrics, &kafka, &shutdown),
        probe_mongodb(&board, &metrics, &kafka, &store, &shutdown)
    );
}

async fn probe_kafka(board: &Board, metrics: &Metrics, kafka: &Inspector, shutdown: &CancellationToken) {
    while let Some(health) = shutdown.run_until_cancelled(kafka.health(TIMEOUT)).await {
        board.set_kafka(health.answers);
        board.set_kafka_takes_records(health.takes_records);
        metrics.set_dependency("kafka", health.answers);
        if !pause(INTERVAL, shutdown).await {
            return;
        }
    }
}

async fn probe_mongodb(
    board: &Board,
    metrics: &Metrics,
    kafka: &Inspector,
    store: &Store,
    shutdown: &CancellationToken,
) {
    for round in 0_u32.. {
        let pinged = shutdown.run_until_cancelled(tokio::time::timeout(TIMEOUT, store.ping())).await;
        let up = matches!(pinged, Some(Ok(Ok(()))));
        if shutdown.is_cancelled() {
            return;
        }
        board.set_mongodb(up);
        metrics.set_dependency("mongodb", up);
        if up && round % COUNT_EVERY == 0 {
            shutdown.run_until_cancelled(count_dead_letters(board, metrics, kafka, store)).await;
        }
        if !pause(INTERVAL, shutdown).await {
            return;
        }
    }
}

async fn count_dead_letters(board: &Board, metrics: &Metrics, kafka: &Inspector, store: &Store) {
    // An unanswered count leaves the note as it was.
    if let Ok(Ok(count)) = tokio::time::timeout(TIMEOUT, store.dead_letter_count()).await {
        metrics.dead_letters_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
        if count == 0 {
            board.clear_note(DEAD_LETTERS_NOTE);
        } else {
            board.set_note(DEAD_LETTERS_NOTE, format!("dead letters: {count} in {}", kafka.dead_letter_topic()));
        }
    }
}
