//! The group's task under simulation: `group` and `group::commits`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Committed, Ended, Group, News, Shared, Slot, State, survey};
use crate::simulation::{Assignment, Mutant, Process, Server, committed};

const COMMIT_INTERVAL: u64 = 250;
const SURVEY_INTERVAL: u64 = 5_000;
const HEARTBEAT: u64 = 1_000;
const DRAIN_LIMIT: u64 = 5_000;
const COMMIT_LIMIT: u64 = 2_000;

/// When the group's task does what it does every so often.
struct Due {
    commit: u64,
    survey: u64,
    surveying: bool,
    survey_wait: u64,
    /// The topic as the first survey found it.
    topic_id: Option<u64>,
}

/// One membership after the other.
pub(super) async fn run(process: Process) {
    let mut wait = 100;
    loop {
        let joined =
            process.ask(Server::Kafka, |world| (world.kafka.coordinator.join(world.engine.now), world.kafka.topic_id));
        if let Ok((member, topic_id)) = joined.await {
            let shared = Rc::new(RefCell::new(Shared::default()));
            let generations = Rc::new(Cell::new(0));
            Group { process: process.clone(), shared, member, topic_id, generations }.run().await;
        }
        process.pause(&mut wait, 2_000).await;
    }
}

impl Group {
    async fn run(self) {
        let beside = [self.process.spawn(self.clone().beat()), self.process.spawn(self.clone().commit_all())];
        let now = self.process.now();
        let mut due = Due { commit: now, survey: now, surveying: false, survey_wait: 100, topic_id: None };
        while !self.shared.borrow().failed {
            if !self.serve(&mut due).await {
                self.process.turn().await;
            }
        }
        self.end().await;
        for task in beside {
            self.process.abort(task);
        }
    }

    /// Does one thing; `false` if there was none.
    async fn serve(&self, due: &mut Due) -> bool {
        let news = self.shared.borrow_mut().news.pop_front();
        if let Some(news) = news {
            self.rebalance(news, due).await;
            return true;
        }
        let answer = self.shared.borrow_mut().answers.pop_front();
        if let Some(answer) = answer {
            self.committed(&answer);
            return true;
        }
        let ended = self.shared.borrow_mut().ended.pop_front();
        if let Some((partition, generation, ended)) = ended {
            self.joined(partition, generation, ended);
            due.survey = self.process.now();
            return true;
        }
        let surveyed = self.shared.borrow_mut().surveyed.take();
        if let Some(surveyed) = surveyed {
            due.surveying = false;
            match surveyed {
                Ok(found) => {
                    due.survey_wait = 100;
                    self.follow_all(found, &mut due.topic_id, &mut due.survey).await;
                }
                Err(_) => {
                    due.survey = self.process.now() + due.survey_wait;
                    due.survey_wait = (due.survey_wait * 2).min(2_000);
                }
            }
            return true;
        }
        self.serve_time(due)
    }

    fn serve_time(&self, due: &mut Due) -> bool {
        let now = self.process.now();
        if !due.surveying && now >= due.survey {
            due.survey = now + SURVEY_INTERVAL;
            let subjects = self.subjects();
            if !subjects.is_empty() {
                due.surveying = true;
                self.process.spawn(survey::run(self.clone(), subjects));
            }
            return true;
        }
        if now >= due.commit && self.commit() {
            due.commit = now + COMMIT_INTERVAL;
            return true;
        }
        if !due.surveying {
            self.process.wake_after(due.survey - now);
        }
        if due.commit > now {
            self.process.wake_after(due.commit - now);
        }
        false
    }

    fn subjects(&self) -> Vec<survey::Subject> {
        let shared = self.shared.borrow();
        let subject = |(partition, slot): (&i32, &Slot)| survey::Subject {
            partition: *partition,
            generation: slot.generation,
            view: slot.view(),
        };
        shared.slots.iter().map(subject).collect()
    }

    async fn beat(self) {
        let mut seen = 0;
        loop {
            let member = self.member;
            let news = self
                .process
                .ask(Server::Kafka, move |world| world.kafka.coordinator.heartbeat(member, seen, world.engine.now));
            match news.await {
                Ok(Some(news)) => {
                    seen += news.len();
                    self.shared.borrow_mut().news.extend(news.into_iter().map(News::Assignment));
                }
                Ok(None) => {
                    let mut shared = self.shared.borrow_mut();
                    shared.news.clear();
                    shared.news.push_back(News::Lost);
                    return;
                }
                Err(_) => {}
            }
            self.process.sleep(HEARTBEAT).await;
        }
    }

    async fn rebalance(&self, news: News, due: &mut Due) {
        match news {
            News::Assignment(Assignment::Assigned(partition)) => {
                let slot = self.idle();
                self.shared.borrow_mut().slots.insert(partition, slot);
                due.survey = self.process.now();
            }
            News::Assignment(Assignment::Revoked(partition)) => {
                self.drain(&[partition]).await;
                self.commit_last(&[partition]).await;
                self.shared.borrow_mut().slots.remove(&partition);
                self.process.spawn(self.clone().give_up(partition));
            }
            News::Lost => {
                let slots = std::mem::take(&mut self.shared.borrow_mut().slots);
                for reading in slots.values().filter_map(Slot::reading) {
                    reading.stop.set(true);
                    self.process.abort(reading.task);
                }
                // The client joins again under a new name.
                self.shared.borrow_mut().failed = true;
            }
        }
    }

    async fn give_up(self, partition: i32) {
        let mut wait = 100;
        loop {
            let member = self.member;
            let given = self.process.ask(Server::Kafka, move |world| {
                world.kafka.coordinator.given_up(member, partition);
            });
            if given.await.is_ok() {
                return;
            }
            self.process.pause(&mut wait, 1_000).await;
        }
    }

    pub(super) fn idle(&self) -> Slot {
        Slot { generation: self.new_generation(), state: State::Idle { reached: None, trouble: None } }
    }

    pub(super) fn new_generation(&self) -> u64 {
        self.generations.set(self.generations.get() + 1);
        self.generations.get()
    }

    /// Lets tasks finish the write in flight.
    pub(super) async fn drain(&self, partitions: &[i32]) {
        let mut tasks = Vec::new();
        {
            let shared = self.shared.borrow();
            for partition in partitions {
                let slot = shared.slots.get(partition);
                if let Some((slot, reading)) = slot.and_then(|slot| Some((slot, slot.reading()?))) {
                    reading.stop.set(true);
                    tasks.push((*partition, slot.generation, reading.task));
                }
            }
        }
        let deadline = self.process.now() + DRAIN_LIMIT;
        self.process.wake_after(DRAIN_LIMIT);
        loop {
            let shared = self.shared.borrow();
            tasks.retain(|(p, g, _)| {
                !shared.ended.iter().any(|(partition, generation, _)| (p, g) == (partition, generation))
            });
            drop(shared);
            if tasks.is_empty() {
                return;
            }
            if self.process.now() >= deadline {
                return tasks.into_iter().for_each(|(_, _, task)| self.process.abort(task));
            }
            self.process.turn().await;
        }
    }

    async fn end(&self) {
        let all: Vec<i32> = self.shared.borrow().slots.keys().copied().collect();
        self.drain(&all).await;
        self.commit_last(&all).await;
        let slots = std::mem::take(&mut self.shared.borrow_mut().slots);
        for reading in slots.values().filter_map(Slot::reading) {
            self.process.abort(reading.task);
        }
        let member = self.member;
        // Who cannot say good-bye is evicted.
        let _ = self.process.ask(Server::Kafka, move |world| world.kafka.coordinator.leave(member)).await;
    }

    /// Whether something was sent.
    fn commit(&self) -> bool {
        let mut shared = self.shared.borrow_mut();
        if !shared.requests.is_empty() {
            return false;
        }
        let mut offsets = Vec::new();
        for (partition, slot) in &mut shared.slots {
            if let Some(reading) = slot.reading_mut() {
                let committable = reading.offsets.borrow().committable();
                offsets.extend(reading.committing.due(committable).map(|offset| (*partition, offset)));
            }
        }
        if offsets.is_empty() {
            return false;
        }
        shared.requests.push_back(offsets);
        true
    }

    pub(super) async fn commit_last(&self, partitions: &[i32]) {
        let position = self.process.world.borrow().has(Mutant::CommitPosition);
        let offsets: Vec<(i32, i64)> = {
            let shared = self.shared.borrow();
            let last = |p: &i32| {
                let reading = shared.slots.get(p)?.reading()?;
                let offsets = reading.offsets.borrow();
                let committable = if position { offsets.position() } else { offsets.committable() };
                Some((*p, reading.committing.last(committable)?))
            };
            partitions.iter().filter_map(last).collect()
        };
        self.commit_and_wait(offsets).await;
    }

    /// Whether the coordinator took it in time.
    pub(super) async fn commit_and_wait(&self, offsets: Vec<(i32, i64)>) -> bool {
        if offsets.is_empty() {
            return true;
        }
        self.shared.borrow_mut().requests.push_back(offsets.clone());
        let deadline = self.process.now() + COMMIT_LIMIT;
        self.process.wake_after(COMMIT_LIMIT);
        loop {
            let answer = self.shared.borrow_mut().answers.pop_front();
            match answer {
                Some(answer) => {
                    self.committed(&answer);
                    if answer.offsets == offsets {
                        return answer.taken;
                    }
                }
                None if self.process.now() >= deadline => return false,
                None => self.process.turn().await,
            }
        }
    }

    fn committed(&self, answer: &Committed) {
        let mut shared = self.shared.borrow_mut();
        for (partition, offset) in &answer.offsets {
            if let Some(reading) = shared.slots.get_mut(partition).and_then(Slot::reading_mut) {
                if answer.taken {
                    reading.committing.acknowledged(*offset);
                } else {
                    reading.committing.refused();
                }
            }
        }
    }

    /// One commit at a time, in order.
    async fn commit_all(self) {
        loop {
            let shared = Rc::clone(&self.shared);
            self.process.until(move || !shared.borrow().requests.is_empty()).await;
            let Some(offsets) = self.shared.borrow().requests.front().cloned() else { continue };
            let (member, topic_id, sent) = (self.member, self.topic_id, offsets.clone());
            let answer = self.process.ask(Server::Kafka, move |world| {
                let taken = world.kafka.coordinator.commit(member, &sent, world.engine.now);
                world.engine.note(|| format!("member {member} commits {sent:?}: {taken}"));
                // Offsets of an earlier topic say nothing of this one.
                let counts = taken && topic_id == world.kafka.topic_id;
                for (partition, offset) in sent.iter().filter(|_| counts) {
                    committed(world, *partition, *offset);
                }
                taken
            });
            let taken = answer.await.unwrap_or(false);
            let mut shared = self.shared.borrow_mut();
            shared.requests.pop_front();
            shared.answers.push_back(Committed { offsets, taken });
        }
    }

    /// A task has ended by itself.
    fn joined(&self, partition: i32, generation: u64, ended: Ended) {
        let Ended::Stopped(trouble) = ended else { return };
        let mut shared = self.shared.borrow_mut();
        let Some(slot) = shared.slots.get(&partition).filter(|s| s.generation == generation) else { return };
        let Some(reading) = slot.reading() else { return };
        let reached = reading.offsets.borrow().committable();
        if let Some(last) = reading.committing.last(reached) {
            shared.requests.push_back(vec![(partition, last)]);
        }
        let state = State::Idle { reached: Some(reached), trouble: Some(trouble) };
        shared.slots.insert(partition, Slot { generation: self.new_generation(), state });
    }
}
