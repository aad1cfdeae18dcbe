//! The owner of all partition tasks: answers rebalances, commits, surveys, and ends everything it started.

mod commits;
mod follow;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::client::Client;
use super::committer::Committed;
use super::partition::{Ended, Shared};
use super::rebalance::Event;
use super::slot::Slot;
use super::survey::{self, Subject, Survey, survey};
use super::unowned;
use crate::backoff::Backoff;

/// Time between two commits: what a crash reads again.
const COMMIT_INTERVAL: Duration = Duration::from_millis(250);
/// Time between two surveys while all is well.
const SURVEY_INTERVAL: Duration = Duration::from_secs(5);

/// How a group membership ended.
#[derive(Debug)]
pub(super) enum End {
    /// Shutdown was asked for.
    Shutdown,
    /// The client must be made anew.
    Restart(String),
    /// The group gave these partitions to nobody and must give them out again: it must miss this member.
    Unowned(Vec<i32>),
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
    /// Before the client, so that it is dropped first: a client that closes must not wait for answers from here.
    callbacks: Callbacks,
    client: Client,
    slots: BTreeMap<i32, Slot>,
    tasks: JoinSet<(i32, u64, Ended)>,
    /// Commits that are not answered yet.
    committing: usize,
    generations: u64,
    topic_id: Option<String>,
    survey_due: tokio::time::Instant,
    survey_backoff: Backoff,
    /// A revocation waits for its answer.
    revoking: bool,
}

type Surveying = BoxFuture<'static, Result<Survey, survey::Error>>;

impl<'a> Group<'a> {
    pub(super) fn new(parts: &'a Parts, shared: Shared, client: Client, callbacks: Callbacks) -> Self {
        Self {
            parts,
            shared,
            outboxes: parts.outbox_urls.iter().map(ToString::to_string).collect(),
            client,
            callbacks,
            slots: BTreeMap::new(),
            tasks: JoinSet::new(),
            committing: 0,
            generations: 0,
            topic_id: None,
            survey_due: tokio::time::Instant::now(),
            survey_backoff: Backoff::for_servers(),
            revoking: false,
        }
    }

    /// Takes part until shutdown or until the client is of no more use, then gives every partition up in order.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> End {
        let mut commits_due = interval(COMMIT_INTERVAL);
        commits_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut surveying: Option<Surveying> = None;
        let parts = self.parts;
        let watch = || unowned::watch(parts.inspector.clone(), parts.board.clone(), parts.drain_limit);
        let mut watching = Box::pin(watch());
        let end = loop {
            if let Some(reason) = self.client.failure() {
                break End::Restart(reason);
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break End::Shutdown,
                Some(event) = self.callbacks.events.recv() => {
                    // What takes long ends where it is when shutdown comes: the end does the rest of it for all.
                    shutdown.run_until_cancelled(self.rebalance(event)).await;
                }
                Some(committed) = self.callbacks.commits.recv() => self.committed(&committed),
                Some(joined) = self.tasks.join_next() => self.joined(joined),
                outcome = surveyed(&mut surveying) => {
                    surveying = None;
                    shutdown.run_until_cancelled(self.apply(outcome)).await;
                }
                () = sleep_until(self.survey_due), if surveying.is_none() => surveying = self.survey(),
                shares = &mut watching => {
                    let own: Vec<i32> = self.slots.keys().copied().collect();
                    if unowned::is_least(&own, &shares) {
                        break End::Unowned(unowned::unowned(&shares));
                    }
                    watching.set(watch());
                }
                _ = commits_due.tick() => self.commit(),
                never = self.client.serve() => match never {},
            }
        };
        self.end().await;
        end
    }

    async fn rebalance(&mut self, event: Event) {
        tracing::info!(topic = %self.shared.topic, ?event, "rebalance");
        match event {
            Event::Assigned(partitions) => {
                // They are read one by one, when it is known where each begins.
                self.client.accept();
                for partition in partitions {
                    let slot = Slot::idle(self.new_generation());
                    self.slots.insert(partition, slot);
                }
                self.survey_soon();
            }
            Event::Revoked(partitions) => {
                self.revoking = true;
                self.drain(&partitions).await;
                self.commit_last(&partitions).await;
                self.give_up(&partitions);
                self.revoking = false;
            }
            // Others may own them already: nothing of theirs is committed.
            Event::Lost(partitions) => {
                for reading in partitions.iter().filter_map(|p| self.slots.get(p)?.reading()) {
                    reading.stop.cancel();
                    reading.task.abort();
                }
                self.give_up(&partitions);
            }
        }
        self.shared.metrics.partitions_assigned.set(i64::try_from(self.slots.len()).unwrap_or(i64::MAX));
    }

    fn give_up(&mut self, partitions: &[i32]) {
        let read: Vec<i32> = partitions.iter().copied().filter(|p| self.is_read(*p)).collect();
        self.client.give_up(&read);
        self.forget(partitions);
    }

    fn is_read(&self, partition: i32) -> bool {
        self.slots.get(&partition).is_some_and(|s| s.reading().is_some())
    }

    fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.slots.remove(partition);
            self.clear_notes(*partition);
        }
        // Nothing is surveyed without partitions, so nothing else would take it away.
        if self.slots.is_empty() {
            self.parts.board.clear_note(follow::NOTE);
        }
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

    fn new_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    fn joined(&mut self, joined: Result<(i32, u64, Ended), JoinError>) {
        match joined {
            Ok((partition, generation, Ended::Stopped(stop))) => self.stopped(partition, generation, stop),
            Ok((_, _, Ended::Drained)) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.client.fail(format!("a partition's task failed: {error}")),
        }
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
        let deadline = tokio::time::Instant::now() + self.parts.drain_limit;
        while !waiting.is_empty() {
            match self.client.serve_while(timeout_at(deadline, self.tasks.join_next())).await {
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

    /// Drains and commits everything, then leaves the group: all of it within the limits of both.
    async fn end(mut self) {
        let deadline = tokio::time::Instant::now() + self.parts.drain_limit + self.parts.close_limit;
        let all: Vec<i32> = self.slots.keys().copied().collect();
        self.drain(&all).await;
        self.commit_last(&all).await;
        self.answer_all(&all);
        self.forget(&all);
        self.shared.metrics.partitions_assigned.set(0);
        self.tasks.shutdown().await;
        // From here on the callbacks answer by themselves.
        drop(self.callbacks);
        self.client.close(deadline).await;
    }

    /// Answers what the coordinator has asked and nobody has answered yet: the client would wait for it when it closes.
    fn answer_all(&mut self, all: &[i32]) {
        let mut revoking = self.revoking;
        self.callbacks.events.close();
        while let Ok(event) = self.callbacks.events.try_recv() {
            match event {
                Event::Assigned(_) => self.client.accept(),
                Event::Revoked(_) | Event::Lost(_) => revoking = true,
            }
        }
        if revoking {
            self.give_up(all);
        }
    }
}

async fn surveyed(surveying: &mut Option<Surveying>) -> Result<Survey, survey::Error> {
    match surveying {
        Some(survey) => survey.await,
        None => std::future::pending().await,
    }
}
