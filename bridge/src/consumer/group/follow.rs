//! What the group does about the findings of a survey, and about tasks that cannot read on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::super::client::MADE_ANEW;
use super::super::committing::Committing;
use super::super::gap::{Repeats, Verdict};
use super::super::gather::Stop;
use super::super::partition::{Progress, Source, Task};
use super::super::slot::{Reading, Slot, State};
use super::super::survey::{self, Finding, Silent, Survey};
use super::Group;
use crate::report::Chain;
use crate::status::gaps;
use crate::store::Gap;

/// Time between two surveys while a partition waits.
const SURVEY_INTERVAL_WAITING: Duration = Duration::from_millis(500);
/// The key of the note that the partitions could not be surveyed.
pub(super) const NOTE: &str = "consumer";

impl Group<'_> {
    /// Acts on a survey, or waits a little longer for the next one.
    pub(super) async fn apply(&mut self, outcome: Result<Survey, survey::Error>) {
        match outcome {
            Ok(survey) => {
                self.survey_backoff.reset();
                self.parts.board.clear_note(NOTE);
                self.follow_all(survey).await;
            }
            Err(error) => self.not_surveyed(&error),
        }
    }

    async fn follow_all(&mut self, survey: Survey) {
        // The client may still think in another topic's offsets.
        let same = self.topic_id.get_or_insert_with(|| survey.topic_id.clone()) == &survey.topic_id;
        if !same || !self.client.incarnation().is(&survey.topic_id) {
            self.client.fail(MADE_ANEW);
            return;
        }
        for silent in survey.silent {
            self.not_answered(silent);
        }
        let findings: Vec<Finding> = survey.findings.into_iter().filter(|finding| self.answered(finding)).collect();
        // Those that must stop do so together, and those that must wait for a commit come last.
        self.stop_all(&findings).await;
        let (resumed, others): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|f| matches!(f.verdict, Verdict::Resume { .. }));
        for finding in others.into_iter().chain(resumed) {
            self.follow(finding).await;
        }
        if self.slots.values().any(|s| matches!(s.state, State::Idle { .. })) {
            self.survey_due = self.survey_due.min(tokio::time::Instant::now() + SURVEY_INTERVAL_WAITING);
        }
    }

    fn not_surveyed(&mut self, error: &survey::Error) {
        // Silence says nothing about the log: no partition may count as stalled for it.
        for reading in self.slots.values_mut().filter_map(Slot::reading_mut) {
            reading.behind = None;
        }
        if error.is_noteworthy() {
            self.parts.board.set_note(NOTE, Chain(error).to_string());
        }
        tracing::debug!(error = %Chain(error), "the partitions could not be surveyed");
        self.survey_due = tokio::time::Instant::now() + self.survey_backoff.next_wait();
    }

    /// Kafka tells nothing of a partition, which says nothing about its log.
    fn not_answered(&mut self, silent: Silent) {
        let Silent { partition, generation } = silent;
        let Some(slot) = self.slots.get_mut(&partition).filter(|s| s.generation == generation) else { return };
        if let Some(reading) = slot.reading_mut() {
            reading.behind = None;
        }
        let topic = &self.shared.topic;
        let text = format!("Kafka does not answer for partition {partition} of {topic}; it may have no leader");
        self.parts.board.set_note(silent_note(partition), text);
    }

    /// Notes what Kafka told of a partition; `false` if that is outdated.
    fn answered(&mut self, finding: &Finding) -> bool {
        let Finding { partition, generation, log, committed, .. } = finding;
        let Some(slot) = self.slots.get_mut(partition).filter(|s| s.generation == *generation) else { return false };
        let now = Instant::now();
        let waits = slot.reading_mut().is_some_and(|reading| {
            reading.compare(*log, now);
            reading.committing.found(committed.map(|committed| committed.offset));
            reading.waits(now)
        });
        self.parts.board.clear_note(&silent_note(*partition));
        if waits {
            let (topic, end) = (&self.shared.topic, log.high);
            let text = format!(
                "partition {partition} of {topic} is not read on, though its log reaches to {end}: Kafka sends no records; \
                 look at the rights of the bridge's user to read it, and at the link"
            );
            self.parts.board.set_note(waiting_note(*partition), text);
        } else {
            self.parts.board.clear_note(&waiting_note(*partition));
        }
        true
    }

    async fn stop_all(&mut self, findings: &[Finding]) {
        let mut partitions = Vec::new();
        for finding in findings {
            match &finding.verdict {
                Verdict::Open { .. } => self.survey_soon(),
                Verdict::Wait(gap) => self.note_gap(gap),
                Verdict::Keep | Verdict::Start { .. } | Verdict::Resume { .. } | Verdict::Close(_) => continue,
            }
            partitions.push(finding.partition);
        }
        self.stop(&partitions).await;
    }

    async fn follow(&mut self, finding: Finding) {
        let Finding { partition, verdict, committed, .. } = finding;
        match verdict {
            // Those are stopped already.
            Verdict::Keep | Verdict::Open { .. } | Verdict::Wait(_) => {}
            Verdict::Start { at, gap } => {
                if let Some(gap) = &gap {
                    self.note_gap(gap);
                }
                // Of another offset this client knows it, if it has read that far.
                let committed = committed.filter(|committed| committed.offset == at);
                let epoch = committed.and_then(|committed| committed.epoch);
                let epoch = epoch.or_else(|| self.client.epochs().below(partition, at));
                self.start(partition, at, epoch, gap.as_ref()).await;
            }
            Verdict::Resume { at, gap } => self.resume(partition, at, &gap).await,
            Verdict::Close(gap) => {
                tracing::info!(topic = %gap.topic, partition, "the gap is passed");
                self.clear_notes(partition);
            }
        }
    }

    /// Reads on behind a gap. The committed offset must be in the new range before the gap says that it counts again.
    async fn resume(&mut self, partition: i32, at: i64, gap: &Gap) {
        // What was read before the gap may be of another log.
        self.client.epochs().begin(partition, at, None);
        if let Err(error) = self.commit_and_wait(&[(partition, at)]).await {
            tracing::info!(partition, error, "the offset behind a gap is not committed yet");
            return;
        }
        match self.client.serve_while(self.shared.store.mark_resumed(gap)).await {
            Ok(()) => {
                self.note_gap(gap);
                self.start(partition, at, None, Some(gap)).await;
            }
            Err(error) => tracing::debug!(partition, error = %Chain(&error), "a gap could not be marked"),
        }
    }

    async fn start(&mut self, partition: i32, at: i64, epoch: Option<i32>, gap: Option<&Gap>) {
        let Some(queue) = self.client.read(partition, at, epoch).await else { return };
        tracing::info!(topic = %self.shared.topic, partition, offset = at, ?epoch, "reading");
        let generation = self.new_generation();
        let progress = Arc::new(Progress::new(at));
        let stop = CancellationToken::new();
        let repeats = gap.map(Repeats::of).unwrap_or_default();
        let (incarnation, epochs) = (Arc::clone(self.client.incarnation()), Arc::clone(self.client.epochs()));
        let source = Source { queue, start: at, incarnation, epochs };
        let task = Task::new(self.shared.clone(), partition, source, repeats, Arc::clone(&progress), stop.clone());
        let task = self.tasks.spawn(async move { (partition, generation, task.run().await) });
        let reading = Reading { progress, stop, task, committing: Committing::new(at), behind: None };
        self.slots.insert(partition, Slot { generation, state: State::Reading(reading) });
    }

    /// Stops reading partitions that stay owned; where they go on is for the next survey to say.
    async fn stop(&mut self, partitions: &[i32]) {
        let (read, idle): (Vec<i32>, Vec<i32>) = partitions.iter().partition(|p| self.is_read(**p));
        for partition in idle {
            // How far an earlier task had come counts for nothing behind a gap.
            if let Some(slot) = self.slots.get_mut(&partition) {
                slot.state = State::Idle { reached: None, trouble: None };
            }
        }
        if read.is_empty() {
            return;
        }
        self.drain(&read).await;
        self.client.give_up(&read);
        for partition in read {
            let slot = Slot::idle(self.new_generation());
            self.slots.insert(partition, slot);
        }
    }

    /// A task has ended by itself.
    pub(super) fn stopped(&mut self, partition: i32, generation: u64, stop: Stop) {
        let Some(slot) = self.slots.get(&partition).filter(|s| s.generation == generation) else { return };
        let Some(reading) = slot.reading() else { return };
        let reached = reading.progress.committable();
        if let Some(last) = reading.committing.last(reached) {
            self.request(vec![(partition, last)]);
        }
        self.client.give_up(&[partition]);
        let topic = &self.shared.topic;
        let state = match stop {
            Stop::Log(trouble) => {
                tracing::error!(%topic, partition, offset = reached, ?trouble, "the log cannot be read on");
                self.survey_soon();
                State::Idle { reached: Some(reached), trouble: Some(trouble) }
            }
            Stop::UnknownVersion { offset, version } => {
                let text = format!(
                    "partition {partition} of {topic} is stopped at offset {offset}: this program does not know \
                     {version}; start a newer one"
                );
                self.parts.board.set_note(refused_note(partition), text);
                State::Refused
            }
        };
        let generation = self.new_generation();
        self.slots.insert(partition, Slot { generation, state });
    }

    fn note_gap(&self, gap: &Gap) {
        self.parts.board.set_note(gaps::note(gap.partition), gaps::describe(gap, &self.outboxes));
        self.shared.metrics.log_gap_records.with_label_values(&[gap.partition.to_string()]).set(gap.records);
    }

    pub(super) fn clear_notes(&self, partition: i32) {
        self.parts.board.clear_note(&gaps::note(partition));
        self.parts.board.clear_note(&refused_note(partition));
        self.parts.board.clear_note(&silent_note(partition));
        self.parts.board.clear_note(&waiting_note(partition));
        // The label may never have been used.
        let _ = self.shared.metrics.log_gap_records.remove_label_values(&[partition.to_string()]);
    }
}

fn refused_note(partition: i32) -> String {
    format!("refused/{partition}")
}

fn waiting_note(partition: i32) -> String {
    format!("waiting/{partition}")
}

fn silent_note(partition: i32) -> String {
    format!("silent/{partition}")
}
