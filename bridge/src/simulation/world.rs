//! Everything outside of the relays and consumers, and what the checker remembers of it.

use super::ask::Server;
use super::check::Checker;
use super::engine::{Engine, Ms};
use super::kafka::Kafka;
use super::mongo::Mongo;
use super::mutant::Mutant;
use super::outbox::Outbox;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// It dies, and a new one begins after a while.
    Crash(usize, Ms),
    Start(usize),
    /// It is asked to end, which it may or may not do in time.
    Stop(usize),
    Pause(usize),
    Wake(usize),
}

/// What is watched by waiting readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Outbox(usize),
    Partition(usize),
}

/// The world.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) outboxes: Vec<Outbox>,
    pub(crate) kafka: Kafka,
    pub(crate) mongo: Mongo,
    pub(crate) checker: Checker,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) commands: Vec<Command>,
    /// By process: whether it stands still.
    pub(crate) paused: Vec<bool>,
    /// Until when each server does not answer.
    pub(crate) outbox_down: Vec<Ms>,
    pub(crate) kafka_down: Ms,
    pub(crate) mongo_down: Ms,
    /// Until when MongoDB's other members take nothing over.
    pub(crate) mongo_lags: Ms,
    /// How often a request or its answer is lost.
    pub(crate) loss: f64,
    watchers: Vec<(Watched, (usize, u64))>,
}

impl World {
    pub(crate) fn new(engine: Engine, outboxes: usize, partitions: usize, mutant: Option<Mutant>) -> Self {
        let mut mongo = Mongo::default();
        mongo.unordered = mutant == Some(Mutant::NoFence);
        Self {
            engine,
            outboxes: (0..outboxes).map(Outbox::new).collect(),
            kafka: Kafka::new(partitions),
            mongo,
            checker: Checker::default(),
            mutant,
            commands: Vec::new(),
            paused: Vec::new(),
            outbox_down: vec![0; outboxes],
            kafka_down: 0,
            mongo_down: 0,
            mongo_lags: 0,
            loss: 0.0,
            watchers: Vec::new(),
        }
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn is_down(&self, server: Server) -> bool {
        let until = match server {
            Server::Outbox(index) => self.outbox_down[index],
            Server::Kafka => self.kafka_down,
            Server::Mongo => self.mongo_down,
        };
        self.engine.now < until
    }

    /// One way of a request or an answer; sometimes slow.
    pub(crate) fn latency(&mut self) -> Ms {
        if self.loss > 0.0 && self.engine.chance(0.05) {
            return self.engine.between(20, 1_500);
        }
        self.engine.between(1, 8)
    }

    /// What a majority needs.
    pub(crate) fn replication(&mut self) -> Ms {
        self.mongo_lags.saturating_sub(self.engine.now) + self.engine.between(1, 16)
    }

    pub(crate) fn loses(&mut self) -> bool {
        let loss = self.loss;
        self.engine.chance(loss)
    }

    pub(crate) fn watch(&mut self, watched: Watched, process: (usize, u64)) {
        if !self.watchers.contains(&(watched, process)) {
            self.watchers.push((watched, process));
        }
    }

    /// Wakes whoever waits for a change there.
    pub(crate) fn changed(&mut self, watched: Watched) {
        let (woken, others) = std::mem::take(&mut self.watchers).into_iter().partition(|(w, _)| *w == watched);
        self.watchers = others;
        let woken: Vec<(Watched, (usize, u64))> = woken;
        for (_, process) in woken {
            let wait = self.engine.between(1, 3);
            self.engine.wake(wait, process);
        }
    }

    /// Makes a producer's rows move towards a partition.
    pub(crate) fn send_soon(&mut self, producer: u64, partition: usize) {
        let wait = self.latency();
        self.engine.after(wait, None, move |world| world.send(producer, partition));
    }

    fn send(&mut self, producer: u64, partition: usize) {
        let Some(process) = self.kafka.producer_process(producer) else { return };
        let waiting = self.kafka.waiting(producer, partition);
        if waiting == 0 || self.paused[process.0] {
            // A process that wakes up sends on.
            return;
        }
        let down = self.kafka_down.max(self.kafka.partitions[partition].down_until);
        if self.engine.now < down {
            let wait = down - self.engine.now + self.latency();
            return self.engine.after(wait, None, move |world| world.send(producer, partition));
        }
        let count = 1 + self.engine.index(waiting.min(4));
        self.kafka.pump(producer, partition, count);
        self.changed(Watched::Partition(partition));
        let back = self.latency();
        self.engine.wake(back, process);
        self.send_soon(producer, partition);
    }

    /// The producer is gone; what it has sent may still be appended, from the front.
    pub(crate) fn drop_producer(&mut self, producer: u64) {
        if self.kafka.is_current(producer) {
            for (partition, records) in self.kafka.in_hand(producer).into_iter().enumerate() {
                self.append_late(partition, records);
            }
        }
        self.kafka.remove_producer(producer);
    }

    pub(crate) fn append_late(&mut self, partition: usize, mut records: Vec<super::kafka::Record>) {
        if records.is_empty() || !self.engine.chance(0.8) {
            return;
        }
        let sent = 1 + self.engine.index(records.len());
        records.truncate(sent);
        let wait = if self.engine.chance(0.2) { self.engine.between(1, 20_000) } else { self.engine.between(1, 300) };
        let topic_id = self.kafka.topic_id;
        self.engine.after(wait, None, move |world| {
            if world.kafka.topic_id != topic_id || world.is_down(Server::Kafka) {
                return;
            }
            world.engine.note(|| format!("late append of {} records to partition {partition}", records.len()));
            world.engine.met.insert("a producer that was gone appended");
            for record in records {
                world.kafka.append(partition, record);
            }
            world.changed(Watched::Partition(partition));
        });
    }

    /// The process with this number is gone or has woken up.
    pub(crate) fn producers_of(&self, process: usize) -> Vec<u64> {
        let of = |number: &u64| self.kafka.producer_process(*number).is_some_and(|(id, _)| id == process);
        self.kafka.producers().into_iter().filter(of).collect()
    }
}
