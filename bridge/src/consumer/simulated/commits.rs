//! Commits under simulation: `group::commits` and `committer`.

use std::rc::Rc;

use super::{Committed, Group, Slot};
use crate::simulation::{Mutant, Server, committed};

const COMMIT_LIMIT: u64 = 2_000;

impl Group {
    /// Whether something was sent.
    pub(super) fn commit(&self) -> bool {
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

    pub(super) fn committed(&self, answer: &Committed) {
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
    pub(super) async fn commit_all(self) {
        loop {
            let shared = Rc::clone(&self.shared);
            self.process.until(move || !shared.borrow().requests.is_empty()).await;
            let Some(offsets) = self.shared.borrow().requests.front().cloned() else { continue };
            let (member, topic_id, sent) = (self.member, self.topic_id, offsets.clone());
            let answer = self.process.ask(Server::Kafka, move |world| {
                let taken = world.kafka.coordinator.commit(member, &sent, world.engine.now);
                world.engine.note(|| format!("member {member} commits {sent:?}: {taken}"));
                if !taken {
                    world.engine.met.insert("a commit was refused");
                }
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
}
