//! The group's task under simulation: `group` and `group::commits`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Ended, Group, News, Shared, Slot, State, survey};
use crate::simulation::{Assignment, Process, Server};

const COMMIT_INTERVAL: u64 = 250;
const SURVEY_INTERVAL: u64 = 5_000;
const HEARTBEAT: u64 = 1_000;
const DRAIN_LIMIT: u64 = 5_000;

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
    while !process.stopping.get() {
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
        while !self.shared.borrow().failed && !self.process.stopping.get() {
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
                self.process.met("a member was evicted");
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
            tasks.retain(|(partition, generation, _)| !self.has_ended(*partition, *generation));
            if tasks.is_empty() {
                return;
            }
            if self.process.now() >= deadline {
                return tasks.into_iter().for_each(|(_, _, task)| self.process.abort(task));
            }
            self.process.turn().await;
        }
    }

    fn has_ended(&self, partition: i32, generation: u64) -> bool {
        self.shared.borrow().ended.iter().any(|(p, g, _)| (*p, *g) == (partition, generation))
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
