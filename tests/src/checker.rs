//! The judge: after the faults it reads everything back in three ways (by paging, from MongoDB, from Kafka) and compares
//! it with the clients' log.

mod judge;
mod read_back;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub use judge::{Report, judge};
pub use read_back::{ReadBack, Seen};

use wiber_model::record::header;

use crate::load::{Entry, Outcome};
use crate::stack::Stack;
use crate::wait;

/// How long an empty outbox may stand beside a message that is not stored: it never will be.
const HOPELESS: Duration = Duration::from_secs(20);

/// A log that is too long to be compared again and again.
const MANY: usize = 10_000;

/// Waits until every acknowledged message is stored and freed, reads all back and asserts that nothing is lost, doubled,
/// out of order or unseen.
///
/// # Panics
/// If something is.
pub async fn check(stack: &Stack, log: &[Entry]) {
    verdict(stack, &examine(stack, log, true, wait::DEADLINE).await);
}

/// As [`check`] where Kafka lost records, so that its log no longer shows the order of everything.
///
/// # Panics
/// If something is wrong.
pub async fn check_without_kafka(stack: &Stack, log: &[Entry]) {
    verdict(stack, &examine(stack, log, false, wait::DEADLINE).await);
}

/// Waits until every acknowledged message is stored and freed, at most for `limit`, reads all back and compares; with
/// `kafka` also with the log's order.
pub async fn examine(stack: &Stack, log: &[Entry], kafka: bool, limit: Duration) -> Report {
    let undrained = tokio::time::timeout(limit, caught_up(stack, log, limit * 2)).await.is_err();
    let report = judge(log, &ReadBack::of(stack, kafka).await);
    // Too late is not drained, even where the last row was freed meanwhile.
    Report { undrained: if undrained { stack.statistics().await.messages.max(1) } else { 0 }, ..report }
}

/// Dead letters whose records are not in the dead-letter topic, of the topic's present making.
pub async fn letters_without_records(stack: &Stack) -> Vec<String> {
    let place = |record: &crate::kafka::Record| {
        let number = |name| record.header(name).and_then(|text| text.parse::<i64>().ok());
        Some((number(header::ORIGIN_PARTITION)?, number(header::ORIGIN_OFFSET)?, number(header::ORIGIN_TIME)?))
    };
    let records: BTreeSet<(i64, i64, i64)> = stack.dead_records().await.iter().filter_map(place).collect();
    let letters = stack.store.dead_letters().await;
    let missing = letters.iter().filter(|letter| {
        let origin = letter.get_document("origin").cloned().unwrap_or_default();
        let partition = origin.get_i32("partition").map(i64::from).unwrap_or(-1);
        let offset = origin.get_i64("offset").unwrap_or(-1);
        let published = letter.get_i64("publishedAt").unwrap_or(-1);
        !records.contains(&(partition, offset, published))
    });
    missing.map(ToString::to_string).collect()
}

fn verdict(stack: &Stack, report: &Report) {
    println!("{report}");
    let logs = || stack.bridges.iter().map(crate::node::Node::log_tail).collect::<String>();
    assert!(report.is_clean(), "{report:#?}\n{}", logs());
}

/// Waits until MongoDB has every acknowledged message and the outbox holds none, or until it holds none and still not all
/// are stored: then some are lost.
async fn caught_up(stack: &Stack, log: &[Entry], limit: Duration) {
    let acknowledged: BTreeSet<&str> = log
        .iter()
        .filter_map(|entry| match &entry.outcome {
            Outcome::Ok(id) => Some(id.as_str()),
            _ => None,
        })
        .collect();
    let mut empty_since = None;
    wait::until_within(limit, "every acknowledged message stored and freed", async || {
        let pending = stack.statistics().await.messages;
        // Reading all back is dear; a row is freed only when it is stored.
        if pending > 0 && log.len() > MANY {
            return Err(format!("{pending} rows in the outbox"));
        }
        let stored = stack.store.messages().await;
        let stored: BTreeSet<&str> = stored.iter().filter_map(|document| document.get_str("_id").ok()).collect();
        let missing = acknowledged.difference(&stored).count();
        let empty = (pending == 0).then(|| *empty_since.get_or_insert_with(Instant::now));
        if missing == 0 && pending == 0 || empty.is_some_and(|since| since.elapsed() > HOPELESS) {
            Ok(())
        } else {
            let logs: String = stack.bridges.iter().map(crate::node::Node::log_tail).collect();
            Err(format!("{missing} of {} not stored, {pending} rows in the outbox\n{logs}", acknowledged.len()))
        }
    })
    .await;
}
