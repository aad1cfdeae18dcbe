//! Asks Kafka and MongoDB about once a second whether they are there, so that readiness can answer at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Board, gaps};
use crate::backoff::pause;
use crate::kafka::Inspector;
use crate::store::Store;
use crate::telemetry::Metrics;

/// Time between two probes of one dependency.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe may take before the dependency counts as disconnected.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// Probes of MongoDB between two looks at what lies there for people: dead letters and gaps.
const LOOK_EVERY: u32 = 5;
const DEAD_LETTERS_NOTE: &str = "dead-letters";

/// Probes until shutdown.
pub async fn run(
    board: Board,
    metrics: Metrics,
    kafka: Inspector,
    store: Store,
    outboxes: Vec<String>,
    shutdown: CancellationToken,
) {
    let look = Look { board: &board, metrics: &metrics, kafka: &kafka, store: &store, outboxes: &outboxes };
    tokio::join!(probe_kafka(&board, &metrics, &kafka, &shutdown), probe_mongodb(&look, &shutdown));
}

/// What looking into MongoDB takes.
struct Look<'a> {
    board: &'a Board,
    metrics: &'a Metrics,
    kafka: &'a Inspector,
    store: &'a Store,
    outboxes: &'a [String],
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

async fn probe_mongodb(look: &Look<'_>, shutdown: &CancellationToken) {
    for round in 0_u32.. {
        let pinged = shutdown.run_until_cancelled(tokio::time::timeout(TIMEOUT, look.store.ping())).await;
        let up = matches!(pinged, Some(Ok(Ok(()))));
        if shutdown.is_cancelled() {
            return;
        }
        look.board.set_mongodb(up);
        look.metrics.set_dependency("mongodb", up);
        if up && round % LOOK_EVERY == 0 {
            shutdown.run_until_cancelled(look.at_dead_letters()).await;
            shutdown.run_until_cancelled(look.at_gaps()).await;
        }
        if !pause(INTERVAL, shutdown).await {
            return;
        }
    }
}

// A question without an answer leaves the notes as they were.
impl Look<'_> {
    async fn at_dead_letters(&self) {
        if let Ok(Ok(count)) = tokio::time::timeout(TIMEOUT, self.store.dead_letter_count()).await {
            self.metrics.dead_letters_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
            if count == 0 {
                self.board.clear_note(DEAD_LETTERS_NOTE);
            } else {
                let topic = self.kafka.dead_letter_topic();
                self.board.set_note(DEAD_LETTERS_NOTE, format!("dead letters: {count} in {topic}"));
            }
        }
    }

    async fn at_gaps(&self) {
        if let Ok(Ok(open)) = tokio::time::timeout(TIMEOUT, self.store.open_gaps(self.kafka.topic())).await {
            gaps::tell(self.board, &open, self.outboxes);
        }
    }
}
