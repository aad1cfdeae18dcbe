//! Kafka's log and producers. A producer's rows reach a partition in the order of their handing over and without leaving
//! one out, as `relay::session` relies on; what a producer that is gone has sent may be appended later, from the front,
//! or never. An acknowledged end of a log may vanish, since brokers do not fsync.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use wiber_model::record::{Decoded, source};
use wiber_model::{Message, MessageId};

use super::engine::Ms;
use super::group::Coordinator;
use crate::kafka::Watermarks;

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) decoded: Decoded,
    /// The outbox's id and the row's position, where an outbox sent it.
    pub(crate) row: Option<(String, i64)>,
    /// The number of the run that sent it again.
    pub(crate) run: Option<i64>,
    pub(crate) id: Option<MessageId>,
}

impl Record {
    pub(crate) fn of_row(outbox_id: &str, position: i64, message: Message, run: Option<i64>) -> Self {
        let id = Some(message.message_id.clone());
        Self { decoded: Decoded::Message(message), row: Some((outbox_id.to_owned(), position)), run, id }
    }

    pub(crate) fn source(&self) -> Option<String> {
        self.row.as_ref().map(|(outbox_id, _)| source(outbox_id))
    }
}

/// One partition.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) records: Vec<Record>,
    /// No broker leads it before this time.
    pub(crate) down_until: Ms,
    pub(crate) version: u64,
    /// How many records were kept, each time that the end was lost.
    pub(crate) cuts: Vec<i64>,
}

impl Partition {
    pub(crate) fn log(&self) -> Watermarks {
        Watermarks { low: 0, high: i64::try_from(self.records.len()).unwrap() }
    }
}

/// What a producer tells its relay.
#[derive(Debug)]
pub(crate) enum Report {
    Acknowledged { position: i64, partition: i32, offset: i64 },
    Failed { position: i64 },
}

pub(crate) type Reports = Rc<RefCell<VecDeque<Report>>>;

/// One session's producer.
pub(crate) struct Producer {
    pub(crate) process: (usize, u64),
    /// The topic that it has learned of.
    topic_id: u64,
    queues: Vec<VecDeque<(i64, Record)>>,
    reports: Reports,
    /// It is of no more use: whatever it gets fails.
    broken: bool,
}

/// The cluster.
#[derive(Default)]
pub(crate) struct Kafka {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) topic_id: u64,
    pub(crate) coordinator: Coordinator,
    producers: BTreeMap<u64, Producer>,
    numbers: u64,
}

impl Kafka {
    pub(crate) fn new(partitions: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            topic_id: 1,
            coordinator: Coordinator::new(partitions),
            ..Self::default()
        }
    }

    pub(crate) fn new_producer(&mut self, process: (usize, u64), reports: Reports) -> u64 {
        self.numbers += 1;
        let queues = vec![VecDeque::new(); self.partitions.len()];
        let producer = Producer { process, topic_id: self.topic_id, queues, reports, broken: false };
        self.producers.insert(self.numbers, producer);
        self.numbers
    }

    pub(crate) fn hand_over(&mut self, producer: u64, partition: usize, position: i64, record: Record) {
        let Some(producer) = self.producers.get_mut(&producer) else { return };
        if producer.broken {
            producer.reports.borrow_mut().push_back(Report::Failed { position });
            return;
        }
        producer.queues[partition].push_back((position, record));
    }

    pub(crate) fn producer_process(&self, producer: u64) -> Option<(usize, u64)> {
        self.producers.get(&producer).map(|p| p.process)
    }

    pub(crate) fn waiting(&self, producer: u64, partition: usize) -> usize {
        self.producers.get(&producer).map_or(0, |p| p.queues[partition].len())
    }

    pub(crate) fn producers(&self) -> Vec<u64> {
        self.producers.keys().copied().collect()
    }

    /// Appends up to `count` of a producer's rows, and acknowledges them.
    pub(crate) fn pump(&mut self, number: u64, partition: usize, count: usize) {
        let Some(producer) = self.producers.get_mut(&number) else { return };
        if producer.topic_id != self.topic_id {
            return self.break_producer(number);
        }
        let log = &mut self.partitions[partition];
        for _ in 0..count {
            let Some((position, record)) = producer.queues[partition].pop_front() else { break };
            let offset = log.log().high;
            log.records.push(record);
            log.version += 1;
            let partition = i32::try_from(partition).unwrap();
            producer.reports.borrow_mut().push_back(Report::Acknowledged { position, partition, offset });
        }
    }

    /// The producer fails for good; returns what it held.
    pub(crate) fn break_producer(&mut self, number: u64) {
        let Some(producer) = self.producers.get_mut(&number) else { return };
        producer.broken = true;
        for queue in &mut producer.queues {
            for (position, _) in queue.drain(..) {
                producer.reports.borrow_mut().push_back(Report::Failed { position });
            }
        }
    }

    /// What a producer has in its hands, by partition, without taking it.
    pub(crate) fn in_hand(&self, number: u64) -> Vec<Vec<Record>> {
        let queues = self.producers.get(&number).map(|p| p.queues.iter());
        queues.into_iter().flatten().map(|queue| queue.iter().map(|(_, record)| record.clone()).collect()).collect()
    }

    pub(crate) fn is_current(&self, number: u64) -> bool {
        self.producers.get(&number).is_some_and(|p| p.topic_id == self.topic_id && !p.broken)
    }

    pub(crate) fn remove_producer(&mut self, number: u64) {
        self.producers.remove(&number);
    }

    pub(crate) fn append(&mut self, partition: usize, record: Record) {
        self.partitions[partition].records.push(record);
        self.partitions[partition].version += 1;
    }

    /// The log's end is lost.
    pub(crate) fn cut(&mut self, partition: usize, keep: usize) {
        let partition = &mut self.partitions[partition];
        partition.version += 1;
        partition.cuts.push(i64::try_from(keep).unwrap());
        partition.records.truncate(keep);
    }

    /// The topic is deleted and made anew; its committed offsets go with it.
    pub(crate) fn recreate(&mut self) {
        self.topic_id += 1;
        for partition in &mut self.partitions {
            partition.records.clear();
            partition.version += 1;
        }
        self.coordinator.forget_offsets();
    }
}
