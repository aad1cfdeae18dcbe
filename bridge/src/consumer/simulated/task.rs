//! One partition's task under simulation: `gather` and `partition`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;

use super::super::dead_letter::{self, Verdict};
use super::super::gap::{Repeats, Trouble};
use super::super::heads::Heads;
use super::super::offsets::Offsets;
use super::super::record::Record;
use super::super::sequence::Batch;
use super::super::triage;
use super::{Ended, Group, Stopped};
use crate::simulation::{self, Lost, Mutant, Reply, Server, TOPIC, Watched};
use crate::store::{Known, Trace};

/// Small, so that batches begin and end anywhere.
const RECORDS_MAX: usize = 4;
/// Just more than a batch may need.
const HEADS_MAX: usize = RECORDS_MAX + 1;
const FETCH_WAIT: u64 = 2_000;

/// What a fetch brought.
enum Fetched {
    Records(Vec<(i64, simulation::Record)>),
    OffsetGone,
    OtherTopic,
    NoLeader,
}

pub(super) struct Task {
    pub(super) group: Group,
    pub(super) partition: i32,
    generation: u64,
    repeats: Repeats,
    offsets: Rc<RefCell<Offsets>>,
    pub(super) stop: Rc<Cell<bool>>,
    pub(super) heads: Heads,
    replaying: bool,
    /// The cuts of the log that the client knows of, as it follows leader epochs.
    cuts: usize,
}

impl Task {
    pub(super) fn new(
        group: &Group,
        partition: i32,
        generation: u64,
        repeats: Repeats,
        offsets: Rc<RefCell<Offsets>>,
        stop: Rc<Cell<bool>>,
    ) -> Self {
        let cuts = group.process.world.borrow().kafka.partitions[usize::try_from(partition).unwrap()].cuts.len();
        let group = group.clone();
        Self {
            group,
            partition,
            generation,
            repeats,
            offsets,
            stop,
            heads: Heads::new(HEADS_MAX),
            replaying: false,
            cuts,
        }
    }

    pub(super) async fn run(mut self) {
        let ended = self.read().await;
        self.group.shared.borrow_mut().ended.push_back((self.partition, self.generation, ended));
    }

    async fn read(&mut self) -> Ended {
        let mut wait = 50;
        loop {
            if self.stop.get() {
                return Ended::Drained;
            }
            match self.fetch().await {
                Ok(Fetched::Records(records)) if records.is_empty() => self.wait_for_records().await,
                Ok(Fetched::Records(records)) => {
                    wait = 50;
                    if self.stop.get() || self.process(records).await.is_err() {
                        return Ended::Drained;
                    }
                }
                Ok(Fetched::OffsetGone) => return Ended::Stopped(Trouble::OffsetGone),
                Ok(Fetched::OtherTopic) => {
                    self.group.shared.borrow_mut().failed = true;
                    return Ended::Drained;
                }
                Ok(Fetched::NoLeader) | Err(_) => self.group.process.pause(&mut wait, 1_000).await,
            }
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, Lost> {
        let (topic_id, position, cuts) = (self.group.topic_id, self.offsets.borrow().position(), self.cuts);
        let index = usize::try_from(self.partition).unwrap();
        let fetched = self.group.process.ask(Server::Kafka, move |world| {
            let partition = &world.kafka.partitions[index];
            let known = partition.cuts.len();
            if world.kafka.topic_id != topic_id {
                return (known, Fetched::OtherTopic);
            }
            if partition.down_until > world.engine.now {
                return (cuts, Fetched::NoLeader);
            }
            let cut_below = partition.cuts[cuts..].iter().any(|keep| *keep < position);
            if cut_below || position > partition.log().high {
                return (known, Fetched::OffsetGone);
            }
            let records = partition.records.iter().zip(0_i64..).skip(usize::try_from(position).unwrap());
            (known, Fetched::Records(records.take(RECORDS_MAX).map(|(r, at)| (at, r.clone())).collect()))
        });
        let (cuts, fetched) = fetched.await?;
        self.cuts = cuts;
        Ok(fetched)
    }

    /// The rest of a long poll.
    async fn wait_for_records(&self) {
        let process = &self.group.process;
        let index = usize::try_from(self.partition).unwrap();
        let position = self.offsets.borrow().position();
        let until = process.now() + FETCH_WAIT;
        {
            let mut world = process.world.borrow_mut();
            world.watch(Watched::Partition(index), process.key());
            world.engine.wake(FETCH_WAIT, process.key());
        }
        let (world, stop) = (Rc::clone(&process.world), Rc::clone(&self.stop));
        let ready = move || {
            let world = world.borrow();
            stop.get() || world.kafka.partitions[index].log().high != position || world.engine.now >= until
        };
        process.until(ready).await;
    }

    async fn process(&mut self, records: Vec<(i64, simulation::Record)>) -> Result<(), Stopped> {
        if self.group.shared.borrow().failed {
            return Err(Stopped);
        }
        let records = records.into_iter().map(|(offset, record)| self.decoded(offset, record));
        let records: Vec<Record> = records.filter(|r| self.offsets.borrow_mut().track(r.offset).is_ok()).collect();
        if self.has(Mutant::CommitBeforeStore) {
            self.confirm(&records.iter().collect::<Vec<_>>());
        }
        let arrived = triage::arrived(&records, &self.repeats);
        self.confirm(&arrived.repeated_later);
        if arrived.has_unknown_version {
            return Err(Stopped);
        }
        self.bury(arrived.poisoned).await?;
        self.store(&arrived.messages).await
    }

    async fn store(&mut self, records: &[&Record]) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        let messages = records.iter().filter_map(|r| r.message().cloned()).collect();
        let mut batch = Batch::new(messages, self.replaying);
        let mut met = Known::new();
        let written = self.write(&mut batch, records, &mut met).await;
        let fated = triage::fated(records, &batch, &met);
        self.confirm(&fated.confirmed);
        self.replaying = fated.repeats * 2 > records.len();
        written?;
        for record in fated.unnoted {
            self.add_origin(record).await?;
            self.confirm(&[record]);
        }
        self.bury(fated.conflicts).await
    }

    pub(super) async fn bury(&self, poisoned: Vec<(&Record, Verdict)>) -> Result<(), Stopped> {
        for (record, verdict) in poisoned {
            // The dead-letter topic.
            let mut wait = 100;
            while self.group.process.ask(Server::Kafka, |_| ()).await.is_err() {
                self.pause(&mut wait).await?;
            }
            let letter = dead_letter::document(record, &verdict, 1);
            self.until_ok(|| {
                let letter = letter.clone();
                self.group
                    .process
                    .ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.put_dead_letter(letter), ()))
            })
            .await?;
            if verdict.reason == wiber_model::record::Poison::Conflict {
                self.group.process.met("an id was in conflict");
                self.add_origin(record).await?;
            }
            self.confirm(&[record]);
        }
        Ok(())
    }

    async fn add_origin(&self, record: &Record) -> Result<(), Stopped> {
        let (Some(message), Some(origin)) = (record.message(), record.trace.origin()) else { return Ok(()) };
        self.until_ok(|| {
            let (id, origin) = (message.message_id.clone(), origin.clone());
            self.group
                .process
                .ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.add_origin(id, origin), ()))
        })
        .await
    }

    /// As `Retry::until_ok`: again and again, unless the partition is given up.
    pub(super) async fn until_ok<T, F: Future<Output = Result<T, Lost>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Stopped> {
        let mut wait = 100;
        loop {
            if self.stop.get() {
                return Err(Stopped);
            }
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(_) => self.pause(&mut wait).await?,
            }
        }
    }

    pub(super) async fn pause(&self, wait: &mut u64) -> Result<(), Stopped> {
        self.group.process.pause(wait, 2_000).await;
        if self.stop.get() { Err(Stopped) } else { Ok(()) }
    }

    fn confirm(&self, records: &[&Record]) {
        for record in records {
            self.offsets.borrow_mut().confirm(record.offset);
        }
    }

    fn decoded(&self, offset: i64, record: simulation::Record) -> Record {
        let original =
            OwnedMessage::new(None, None, TOPIC.to_owned(), Timestamp::NotAvailable, self.partition, offset, None);
        let sequence = record.row.as_ref().map(|(_, position)| *position);
        let trace = Trace { source: record.source(), sequence, ..Trace::default() };
        Record { offset, published_at: 1, decoded: record.decoded, trace, run: record.run, bytes: 1, original }
    }

    pub(super) fn has(&self, mutant: Mutant) -> bool {
        self.group.process.world.borrow().has(mutant)
    }
}
