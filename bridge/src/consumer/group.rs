//! The owner of all partition tasks: answers rebalances, commits, surveys, and ends everything it started.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::gap::{Repeats, Verdict};
use super::gather::Stop;
use super::partition::{Ended, Progress, Shared, Task};
use super::rebalance::{Committed, Context, Event};
use super::slot::{Reading, Slot, State};
use super::survey::{self, Finding, Subject, Survey, survey};
use crate::backoff::Backoff;
use crate::report::Chain;
use crate::store::Gap;

/// Time between two commits: what a crash reads again.
const COMMIT_INTERVAL: Duration = Duration::from_millis(250);
/// How long a commit that something waits for may take.
const COMMIT_LIMIT: Duration = Duration::from_secs(2);
/// Time between two surveys while all is well.
const SURVEY_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two surveys while a partition waits.
const SURVEY_INTERVAL_WAITING: Duration = Duration::from_millis(500);

/// How a group membership ended.
#[derive(Debug)]
pub(super) enum End {
    /// Shutdown was asked for.
    Shutdown,
    /// The client must be made anew.
    Restart(String),
}

/// What the callbacks send.
pub(super) struct Callbacks {
    pub(super) events: UnboundedReceiver<Event>,
    pub(super) commits: UnboundedReceiver<Committed>,
}

/// One membership in the consumer group.
pub(super) struct Group<'a> {
    parts: &'a Parts,
    shared: Shared,
    outboxes: Arc<[String]>,
    consumer: Arc<StreamConsumer<Context>>,
    callbacks: Callbacks,
    slots: BTreeMap<i32, Slot>,
    tasks: JoinSet<(i32, u64, Ended)>,
    generations: u64,
    topic_id: Option<String>,
    survey_due: tokio::time::Instant,
    survey_backoff: Backoff,
}

type Surveying = BoxFuture<'static, Result<Survey, survey::Error>>;

impl<'a> Group<'a> {
    pub(super) fn new(
        parts: &'a Parts,
        shared: Shared,
        consumer: StreamConsumer<Context>,
        callbacks: Callbacks,
    ) -> Self {
        Self {
            parts,
            shared,
            outboxes: parts.outbox_urls.iter().map(ToString::to_string).collect(),
            consumer: Arc::new(consumer),
            callbacks,
            slots: BTreeMap::new(),
            tasks: JoinSet::new(),
            generations: 0,
            topic_id: None,
            survey_due: tokio::time::Instant::now(),
            survey_backoff: Backoff::for_servers(),
        }
    }

    /// Takes part until shutdown or until the client is of no more use, then gives every partition up in order.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> End {
        let consumer = Arc::clone(&self.consumer);
        let mut commits_due = interval(COMMIT_INTERVAL);
        commits_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut surveying: Option<Surveying> = None;
        let end = loop {
            if let Some(reason) = consumer.context().fatal() {
                break End::Restart(reason.to_owned());
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break End::Shutdown,
                Some(event) = self.callbacks.events.recv() => self.rebalance(event).await,
                Some(committed) = self.callbacks.commits.recv() => self.committed(&committed),
                Some(joined) = self.tasks.join_next() => self.joined(joined),
                outcome = surveyed(&mut surveying) => {
                    surveying = None;
                    self.apply(outcome).await;
                }
                () = sleep_until(self.survey_due), if surveying.is_none() => surveying = self.survey(),
                _ = commits_due.tick() => self.commit(),
                main = consumer.recv() => note_main(&consumer, main.map(|raw| (raw.partition(), raw.offset()))),
            }
        };
        drop(consumer);
        self.end().await;
        end
    }

    async fn rebalance(&mut self, event: Event) {
        tracing::info!(topic = %self.shared.topic, ?event, "rebalance");
        match event {
            Event::Assigned(partitions) => {
                // The partitions join one by one, when it is known where each begins.
                self.check("accepting partitions", self.consumer.incremental_assign(&TopicPartitionList::new()));
                for partition in partitions {
                    let slot = Slot::idle(self.new_generation());
                    self.slots.insert(partition, slot);
                }
                self.survey_soon();
            }
            Event::Revoked(partitions) => {
                self.drain(&partitions).await;
                self.commit_last(&partitions).await;
                self.unassign(&partitions);
                self.forget(&partitions);
            }
            // Others may own them already: nothing of theirs is committed.
            Event::Lost(partitions) => {
                for reading in partitions.iter().filter_map(|p| self.slots.get(p)?.reading()) {
                    reading.stop.cancel();
                    reading.task.abort();
                }
                self.unassign(&partitions);
                self.forget(&partitions);
            }
        }
        self.shared.metrics.partitions_assigned.set(i64::try_from(self.slots.len()).unwrap_or(i64::MAX));
    }

    fn survey(&mut self) -> Option<Surveying> {
        self.survey_due = tokio::time::Instant::now() + SURVEY_INTERVAL;
        let now = Instant::now();
        let subject = |(partition, slot): (&i32, &Slot)| {
            let progress = slot.reading().map(|r| Arc::clone(&r.progress));
            Some(Subject { partition: *partition, generation: slot.generation, view: slot.view(now)?, progress })
        };
        let subjects: Vec<Subject> = self.slots.iter().filter_map(subject).collect();
        if subjects.is_empty() {
            return None;
        }
        let (inspector, store) = (self.parts.inspector.clone(), self.shared.store.clone());
        Some(Box::pin(survey(inspector, store, Arc::clone(&self.outboxes), subjects)))
    }

    fn survey_soon(&mut self) {
        self.survey_due = tokio::time::Instant::now();
    }

    async fn apply(&mut self, outcome: Result<Survey, survey::Error>) {
        const NOTE: &str = "consumer";
        match outcome {
            Ok(survey) => {
                self.survey_backoff.reset();
                self.parts.board.clear_note(NOTE);
                if self.topic_id.as_ref().is_some_and(|id| *id != survey.topic_id) {
                    // The client still thinks in the old topic's offsets.
                    self.consumer.context().set_fatal("the topic was made anew");
                    return;
                }
                self.topic_id = Some(survey.topic_id);
                for finding in survey.findings {
                    self.follow(finding).await;
                }
                if self.slots.values().any(|s| matches!(s.state, State::Idle { .. })) {
                    self.survey_due = self.survey_due.min(tokio::time::Instant::now() + SURVEY_INTERVAL_WAITING);
                }
            }
            Err(error) => {
                for reading in self.slots.values_mut().filter_map(Slot::reading_mut) {
                    reading.behind = None;
                }
                if matches!(error, survey::Error::Partitions { .. } | survey::Error::NoTopic(_)) {
                    self.parts.board.set_note(NOTE, error.to_string());
                }
                tracing::debug!(error = %Chain(&error), "the partitions could not be surveyed");
                self.survey_due = tokio::time::Instant::now() + self.survey_backoff.next_wait();
            }
        }
    }

    async fn follow(&mut self, finding: Finding) {
        let Finding { partition, generation, log, verdict } = finding;
        let Some(slot) = self.slots.get_mut(&partition).filter(|s| s.generation == generation) else { return };
        if let Some(reading) = slot.reading_mut() {
            reading.compare(log, Instant::now());
        }
        match verdict {
            Verdict::Keep => {}
            Verdict::Start { at, gap } => {
                if let Some(gap) = &gap {
                    self.note_gap(gap);
                }
                self.start(partition, at, gap.as_ref());
            }
            Verdict::Open { .. } => {
                self.stop(partition).await;
                self.survey_soon();
            }
            Verdict::Wait(gap) => {
                self.note_gap(&gap);
                self.stop(partition).await;
            }
            Verdict::Resume { at, gap } => self.resume(partition, at, &gap).await,
            Verdict::Close(gap) => {
                tracing::info!(topic = %gap.topic, partition, "the gap is passed");
                self.clear_gap(partition);
            }
        }
    }

    /// Reads on behind a gap. The committed offset must be in the new range before the gap says that it counts again.
    async fn resume(&mut self, partition: i32, at: i64, gap: &Gap) {
        if let Err(error) = self.commit_and_wait(&[(partition, at)]).await {
            tracing::info!(partition, error, "the offset behind a gap is not committed yet");
            return;
        }
        let consumer = Arc::clone(&self.consumer);
        let marked = while_polling(&consumer, self.shared.store.mark_resumed(gap)).await;
        match marked {
            Ok(()) => {
                self.note_gap(gap);
                self.start(partition, at, Some(gap));
            }
            Err(error) => tracing::debug!(partition, error = %Chain(&error), "a gap could not be marked"),
        }
    }

    fn start(&mut self, partition: i32, at: i64, gap: Option<&Gap>) {
        let Some(queue) = self.consumer.split_partition_queue(&self.shared.topic, partition) else {
            self.consumer.context().set_fatal("librdkafka gave no queue for a partition");
            return;
        };
        if !self.check("beginning to read", self.consumer.incremental_assign(&self.list(&[(partition, at)]))) {
            return;
        }
        let generation = self.new_generation();
        let progress = Arc::new(Progress::new(at));
        let stop = CancellationToken::new();
        let repeats = gap.map(Repeats::of).unwrap_or_default();
        let task = Task::new(self.shared.clone(), partition, queue, at, repeats, Arc::clone(&progress), stop.clone());
        let task = self.tasks.spawn(async move { (partition, generation, task.run().await) });
        tracing::info!(topic = %self.shared.topic, partition, offset = at, "reading");
        let reading = Reading { progress, stop, task, sent: at, acknowledged: at, behind: None };
        self.slots.insert(partition, Slot { generation, state: State::Reading(reading) });
    }

    /// Stops reading a partition that stays owned; where it goes on is for the next survey to say.
    async fn stop(&mut self, partition: i32) {
        if !self.is_assigned(partition) {
            // How far an earlier task had come counts for nothing behind a gap.
            if let Some(slot) = self.slots.get_mut(&partition) {
                slot.state = State::Idle { reached: None, trouble: None };
            }
            return;
        }
        self.drain(&[partition]).await;
        self.unassign(&[partition]);
        let slot = Slot::idle(self.new_generation());
        self.slots.insert(partition, slot);
    }

    fn joined(&mut self, joined: Result<(i32, u64, Ended), JoinError>) {
        match joined {
            Ok((partition, generation, Ended::Stopped(stop))) => self.stopped(partition, generation, stop),
            Ok((_, _, Ended::Drained)) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.consumer.context().set_fatal(format!("a partition's task failed: {error}")),
        }
    }

    fn stopped(&mut self, partition: i32, generation: u64, stop: Stop) {
        let Some(slot) = self.slots.get(&partition).filter(|s| s.generation == generation) else { return };
        let Some(reached) = slot.reading().map(|r| r.progress.committable()) else { return };
        self.send_commit(&[(partition, reached)]);
        self.unassign(&[partition]);
        let state = match stop {
            Stop::Log(trouble) => {
                tracing::error!(topic = %self.shared.topic, partition, offset = reached, ?trouble, "cannot read on");
                self.survey_soon();
                State::Idle { reached: Some(reached), trouble: Some(trouble) }
            }
            Stop::UnknownVersion { offset, version } => {
                let topic = &self.shared.topic;
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

    /// Lets the tasks of these partitions finish the write in flight, and waits for them.
    async fn drain(&mut self, partitions: &[i32]) {
        let mut waiting = HashSet::new();
        for (partition, slot) in partitions.iter().filter_map(|p| self.slots.get_key_value(p)) {
            if let Some(reading) = slot.reading() {
                reading.stop.cancel();
                waiting.insert((*partition, slot.generation));
            }
        }
        let consumer = Arc::clone(&self.consumer);
        let deadline = tokio::time::Instant::now() + self.parts.drain_limit;
        while !waiting.is_empty() {
            match while_polling(&consumer, timeout_at(deadline, self.tasks.join_next())).await {
                Ok(Some(Ok((partition, generation, _)))) if waiting.remove(&(partition, generation)) => {}
                Ok(Some(joined)) => self.joined(joined),
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(partitions = waiting.len(), "a write did not end in time and is abandoned");
                    for reading in partitions.iter().filter_map(|p| self.slots.get(p)?.reading()) {
                        reading.task.abort();
                    }
                    return;
                }
            }
        }
    }

    fn commit(&mut self) {
        let mut offsets = Vec::new();
        for (partition, slot) in &mut self.slots {
            if let Some(reading) = slot.reading_mut() {
                let committable = reading.progress.committable();
                if committable > reading.sent {
                    reading.sent = committable;
                    offsets.push((*partition, committable));
                }
            }
        }
        self.send_commit(&offsets);
    }

    async fn commit_last(&mut self, partitions: &[i32]) {
        let last = |p: &i32| {
            let reading = self.slots.get(p)?.reading()?;
            let committable = reading.progress.committable();
            (committable > reading.acknowledged).then_some((*p, committable))
        };
        let offsets: Vec<(i32, i64)> = partitions.iter().filter_map(last).collect();
        if let Err(error) = self.commit_and_wait(&offsets).await {
            tracing::info!(error, "the last offsets are not committed, so their records will be read again");
        }
    }

    async fn commit_and_wait(&mut self, offsets: &[(i32, i64)]) -> Result<(), String> {
        if offsets.is_empty() {
            return Ok(());
        }
        if !self.send_commit(offsets) {
            return Err("the commit could not be sent".to_owned());
        }
        let consumer = Arc::clone(&self.consumer);
        let deadline = tokio::time::Instant::now() + COMMIT_LIMIT;
        loop {
            match while_polling(&consumer, timeout_at(deadline, self.callbacks.commits.recv())).await {
                Ok(Some(committed)) => {
                    self.committed(&committed);
                    if offsets.iter().all(|o| committed.offsets.contains(o)) {
                        return committed.result.map_err(|e| e.to_string());
                    }
                }
                Ok(None) | Err(_) => return Err("the commit was not answered in time".to_owned()),
            }
        }
    }

    fn send_commit(&self, offsets: &[(i32, i64)]) -> bool {
        if offsets.is_empty() {
            return true;
        }
        match self.consumer.commit(&self.list(offsets), CommitMode::Async) {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, "a commit could not be sent");
                false
            }
        }
    }

    fn committed(&mut self, committed: &Committed) {
        if let Err(error) = &committed.result {
            // Ownership may have ended while it was under way: a state, not an error. What is still owned is sent again.
            tracing::info!(%error, "a commit was refused");
        }
        for (partition, offset) in &committed.offsets {
            if let Some(reading) = self.slots.get_mut(partition).and_then(Slot::reading_mut) {
                match committed.result {
                    Ok(()) => reading.acknowledged = reading.acknowledged.max(*offset),
                    Err(_) => reading.sent = reading.acknowledged,
                }
            }
        }
    }

    /// Tells librdkafka to stop fetching these. A revocation must be answered even if none of them was being read.
    fn unassign(&self, partitions: &[i32]) {
        let assigned: Vec<(i32, i64)> = partitions.iter().filter(|p| self.is_assigned(**p)).map(|p| (*p, -1)).collect();
        self.check("giving partitions up", self.consumer.incremental_unassign(&self.list(&assigned)));
    }

    fn is_assigned(&self, partition: i32) -> bool {
        self.slots.get(&partition).is_some_and(|s| s.reading().is_some())
    }

    fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.slots.remove(partition);
            self.clear_gap(*partition);
            self.parts.board.clear_note(&refused_note(*partition));
        }
    }

    fn note_gap(&self, gap: &Gap) {
        self.parts.board.set_note(gap_note(gap.partition), survey::describe(gap, &self.outboxes));
        self.shared.metrics.log_gap_records.with_label_values(&[gap.partition.to_string()]).set(gap.records);
    }

    fn clear_gap(&self, partition: i32) {
        self.parts.board.clear_note(&gap_note(partition));
        // The label may never have been used.
        let _ = self.shared.metrics.log_gap_records.remove_label_values(&[partition.to_string()]);
    }

    fn list(&self, offsets: &[(i32, i64)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let mut element = list.add_partition(&self.shared.topic, *partition);
            if *offset >= 0 {
                // Offsets that are not negative are always taken.
                let _ = element.set_offset(Offset::Offset(*offset));
            }
        }
        list
    }

    fn check(&self, what: &'static str, result: Result<(), KafkaError>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) => {
                self.consumer.context().set_fatal(format!("{what}: {error}"));
                false
            }
        }
    }

    fn new_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// Drains and commits everything, then leaves the group.
    async fn end(mut self) {
        let all: Vec<i32> = self.slots.keys().copied().collect();
        self.drain(&all).await;
        self.commit_last(&all).await;
        self.forget(&all);
        self.shared.metrics.partitions_assigned.set(0);
        self.tasks.shutdown().await;
        // From here on the callbacks answer by themselves.
        drop(self.callbacks);
        close(self.consumer, self.parts.close_limit).await;
    }
}

/// Closing blocks while the client leaves the group; on a thread of its own it holds nobody up beyond the limit.
async fn close(consumer: Arc<StreamConsumer<Context>>, limit: Duration) {
    let (closed, wait) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
        drop(consumer);
        let _ = closed.send(());
    });
    if thread.is_err() || tokio::time::timeout(limit, wait).await.is_err() {
        tracing::warn!("the Kafka client did not close in time");
    }
}

/// Serves callbacks while something else is awaited.
async fn while_polling<T>(consumer: &StreamConsumer<Context>, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            main = consumer.recv() => note_main(consumer, main.map(|raw| (raw.partition(), raw.offset()))),
        }
    }
}

/// The main queue carries events; records have queues of their own.
fn note_main(consumer: &StreamConsumer<Context>, main: Result<(i32, i64), KafkaError>) {
    match main {
        Ok((partition, offset)) => {
            consumer.context().set_fatal(format!("a record of partition {partition} at {offset} left its queue"));
        }
        Err(KafkaError::MessageConsumptionFatal(code)) => consumer.context().set_fatal(code.to_string()),
        Err(error) => crate::kafka::log_event(&error, "consumer"),
    }
}

async fn surveyed(surveying: &mut Option<Surveying>) -> Result<Survey, survey::Error> {
    match surveying {
        Some(survey) => survey.await,
        None => std::future::pending().await,
    }
}

fn gap_note(partition: i32) -> String {
    format!("gap/{partition}")
}

fn refused_note(partition: i32) -> String {
    format!("refused/{partition}")
}
