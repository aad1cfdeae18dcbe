//! What Kafka and MongoDB say about the owned partitions, and what follows for each.
//!
//! A survey records gaps before anything acts on them, so that every consumer and every relay acts on the same ones.

use std::future::Future;
use std::sync::Arc;

use futures::future::join_all;
use wiber_model::record::PARTITIONS;

use super::gap::{Facts, Verdict, View, decide};
use super::partition::Progress;
use crate::clock::unix_ms;
use crate::kafka::{self, Committed, Inspector, Watermarks};
use crate::report::Chain;
use crate::store::{self, GapReason, NewGap, Store, Topic};

/// Why a survey came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Kafka did not answer.
    #[error("asking Kafka about the topic")]
    Kafka(#[from] kafka::Error),
    /// MongoDB did not answer.
    #[error("asking MongoDB about the topic")]
    Store(#[from] store::Error),
    /// There is no topic.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// The number of partitions has changed.
    #[error(
        "topic {topic} has {found} partitions, but {recorded} when messages were first read from it: more partitions \
         move conversations and break their order. Procedure: create a topic with {recorded} partitions under another \
         name, set KAFKA_TOPIC to it on every bridge, and let the old one run empty first"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions now.
        found: usize,
        /// Partitions as recorded.
        recorded: i32,
    },
}

impl Error {
    /// Whether it is for a person to heal, and so worth a note.
    pub(super) fn is_noteworthy(&self) -> bool {
        match self {
            Self::Kafka(error) => error.is_refusal(),
            Self::Store(_) => false,
            Self::NoTopic(_) | Self::Partitions { .. } => true,
        }
    }
}

/// One owned partition in question.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) partition: i32,
    pub(super) generation: u64,
    pub(super) view: View,
    /// How far its task has come by now, if there is one.
    pub(super) progress: Option<Arc<Progress>>,
}

/// What a survey found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) topic_id: String,
    pub(super) findings: Vec<Finding>,
    /// Those of which Kafka told nothing, as while they have no leader.
    pub(super) silent: Vec<Silent>,
}

/// A partition of which Kafka told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) partition: i32,
    pub(super) generation: u64,
}

/// What follows for one partition.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) partition: i32,
    pub(super) generation: u64,
    pub(super) log: Watermarks,
    /// What the group has committed.
    pub(super) committed: Option<Committed>,
    pub(super) verdict: Verdict,
}

/// Asks, decides, and records the gaps that were found or passed. A partition of which Kafka tells nothing hides no other.
pub(super) async fn survey(
    inspector: Inspector,
    store: Store,
    outboxes: Arc<[String]>,
    subjects: Vec<Subject>,
) -> Result<Survey, Error> {
    let topic = inspector.topic().to_owned();
    let topic_id = identify(&inspector, &store, &topic).await?;
    let gaps = store.open_gaps(&topic).await?;
    let all_committed = inspector.committed().await?;
    let (mut findings, mut silent) = (Vec::with_capacity(subjects.len()), Vec::new());
    for (subject, log) in ask_each(subjects, |partition| inspector.watermarks(partition)).await {
        let Subject { partition, generation, .. } = subject;
        let log = match log {
            Ok(log) => log,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "a partition could not be surveyed");
                silent.push(Silent { partition, generation });
                continue;
            }
        };
        let committed = usize::try_from(partition).ok().and_then(|p| all_committed.get(p).copied().flatten());
        let facts = Facts {
            gap: gaps.iter().find(|g| g.partition == partition),
            committed: committed.map(|committed| committed.offset),
            log,
            outboxes: &outboxes,
        };
        let verdict = decide(up_to_date(&subject, log), &facts);
        record(&store, &topic, &topic_id, partition, &verdict).await?;
        findings.push(Finding { partition, generation, log, committed, verdict });
    }
    Ok(Survey { topic_id, findings, silent })
}

/// Asks about each partition at the same time, so that several without an answer cost one time-out.
async fn ask_each<T, F: Future<Output = T>>(subjects: Vec<Subject>, ask: impl Fn(i32) -> F) -> Vec<(Subject, T)> {
    let answers = join_all(subjects.iter().map(|subject| ask(subject.partition))).await;
    subjects.into_iter().zip(answers).collect()
}

/// The topic's id; if it is another than recorded, every partition gets a gap before the new one is recorded.
async fn identify(inspector: &Inspector, store: &Store, topic: &str) -> Result<String, Error> {
    let found = inspector.describe(topic).await?.ok_or_else(|| Error::NoTopic(topic.to_owned()))?;
    let topic_id = found.id.unwrap_or_default();
    let recorded = store.topic(topic).await?;
    if let Some(recorded) = &recorded
        && usize::try_from(recorded.partitions).ok() != Some(found.partitions)
    {
        let (topic, found, recorded) = (topic.to_owned(), found.partitions, recorded.partitions);
        return Err(Error::Partitions { topic, found, recorded });
    }
    match recorded {
        Some(recorded) if recorded.topic_id == topic_id => return Ok(topic_id),
        Some(recorded) => {
            tracing::error!(topic, old_id = recorded.topic_id, new_id = topic_id, "the topic was made anew");
            open_everywhere(inspector, store, topic, &topic_id).await?;
        }
        None => {}
    }
    let partitions = i32::try_from(found.partitions).unwrap_or(PARTITIONS);
    store.set_topic(topic, &Topic { topic_id: topic_id.clone(), partitions }).await?;
    Ok(topic_id)
}

async fn open_everywhere(inspector: &Inspector, store: &Store, topic: &str, topic_id: &str) -> Result<(), Error> {
    for (partition, log) in (0_i32..).zip(inspector.all_watermarks().await?) {
        let verdict = Verdict::Open { reason: GapReason::Recreated, resume_at: log.low, records: 0 };
        record(store, topic, topic_id, partition, &verdict).await?;
    }
    Ok(())
}

async fn record(
    store: &Store,
    topic: &str,
    topic_id: &str,
    partition: i32,
    verdict: &Verdict,
) -> Result<(), store::Error> {
    match verdict {
        Verdict::Open { reason, resume_at, records } => {
            tracing::error!(topic, partition, reason = reason.code(), resume_at, records, "gap in the log");
            let gap = NewGap {
                topic: topic.to_owned(),
                partition,
                reason: *reason,
                topic_id: topic_id.to_owned(),
                resume_at: *resume_at,
                records: *records,
                now_ms: unix_ms(),
            };
            store.open_gap(gap).await
        }
        Verdict::Close(gap) => store.close_gap(gap).await,
        Verdict::Keep | Verdict::Start { .. } | Verdict::Wait(_) | Verdict::Resume { .. } => Ok(()),
    }
}

/// A position was noted before the log was asked for; if the log's start has overtaken it, it may have moved on since.
fn up_to_date(subject: &Subject, log: Watermarks) -> View {
    match (subject.view, &subject.progress) {
        (View::Reading { position, committable, stalled }, Some(progress)) if position < log.low => {
            View::Reading { position: progress.position(), committable, stalled }
        }
        (view, _) => view,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn partitions_without_an_answer_hide_no_other_and_cost_one_time_out() {
        let subject = |partition| Subject {
            partition,
            generation: 1,
            view: View::Idle { reached: None, trouble: None },
            progress: None,
        };
        let time_out = Duration::from_millis(100);
        let ask = async |partition: i32| {
            if partition % 3 == 0 {
                return Ok(partition);
            }
            tokio::time::sleep(time_out).await;
            Err(())
        };
        let begun = Instant::now();
        let answers = ask_each((0..12).map(subject).collect(), ask).await;
        assert!(begun.elapsed() < time_out * 4, "{:?}", begun.elapsed());
        let answered: Vec<i32> = answers.iter().filter_map(|(_, answer)| answer.ok()).collect();
        assert_eq!(answered, [0, 3, 6, 9]);
        assert!(answers.iter().zip(0..).all(|((subject, _), partition)| subject.partition == partition));
    }
}
