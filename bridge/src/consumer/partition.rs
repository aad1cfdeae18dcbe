//! One partition's task: gathers records, sees each stored or dead-lettered, and tells how far it has come.
//!
//! One write is in flight at a time. A fault holds up this partition only: its queue fills up and librdkafka stops
//! fetching for it, while the group keeps polling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use wiber_model::record::Poison;

use super::dead_letter::{self, DeadLetters, Verdict};
use super::epochs::Epochs;
use super::gap::Repeats;
use super::gather::{Queue, Stop, gather};
use super::heads::{CONVERSATIONS_MAX, Heads};
use super::incarnation::Incarnation;
use super::offsets::Offsets;
use super::record::Record;
use super::retry::{Retry, Stopped};
use super::sequence::Batch;
use super::triage;
use super::writer::Writer;
use crate::clock::unix_ms;
use crate::mutant::Mutant;
use crate::store::{Known, Store};
use crate::telemetry::{Metrics, Operation, Stage};

/// Dead letters of one batch that are sent at the same time.
const DEAD_LETTERS_AT_ONCE: usize = 16;

/// What all partitions share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) topic: Arc<str>,
    pub(super) store: Store,
    pub(super) dead_letters: DeadLetters,
    pub(super) metrics: Metrics,
}

/// How far a task has come; the group reads it.
#[derive(Debug)]
pub(super) struct Progress {
    committable: AtomicI64,
    position: AtomicI64,
    busy: AtomicBool,
}

impl Progress {
    pub(super) fn new(start: i64) -> Self {
        Self { committable: AtomicI64::new(start), position: AtomicI64::new(start), busy: AtomicBool::new(false) }
    }

    /// The offset that may be committed.
    pub(super) fn committable(&self) -> i64 {
        self.committable.load(Ordering::Acquire)
    }

    /// The next offset that is expected.
    pub(super) fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    /// Whether records are being worked on, rather than waited for.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    fn show(&self, offsets: &Offsets, busy: bool) {
        self.busy.store(busy, Ordering::Release);
        self.position.store(offsets.position(), Ordering::Release);
        self.committable.store(offsets.committable(), Ordering::Release);
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to: the write in flight is finished.
    Drained,
    /// It cannot read on.
    Stopped(Stop),
}

/// Where a task reads.
pub(super) struct Source {
    pub(super) queue: Queue,
    pub(super) start: i64,
    pub(super) incarnation: Arc<Incarnation>,
    pub(super) epochs: Arc<Epochs>,
}

/// The task of one partition, for one assignment.
pub(super) struct Task {
    shared: Shared,
    partition: i32,
    source: Source,
    repeats: Repeats,
    progress: Arc<Progress>,
    offsets: Offsets,
    heads: Heads,
    /// The last batch met messages that were stored already, so the next one likely does.
    replaying: bool,
    /// The last write failed, so the next one goes to MongoDB by itself.
    is_alone: bool,
    stop: CancellationToken,
}

impl Task {
    pub(super) fn new(
        shared: Shared,
        partition: i32,
        source: Source,
        repeats: Repeats,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            partition,
            offsets: Offsets::new(source.start),
            source,
            repeats,
            progress,
            heads: Heads::new(CONVERSATIONS_MAX),
            replaying: false,
            is_alone: false,
            stop,
        }
    }

    /// Reads until told to stop, or until the log ends in trouble.
    pub(super) async fn run(mut self) -> Ended {
        let stop = self.stop.clone();
        loop {
            let gathered = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Drained,
                gathered = gather(&self.source.queue, &self.source.epochs) => gathered,
            };
            if self.process(gathered.records).await.is_err() {
                return Ended::Drained;
            }
            if let Some(reason) = gathered.stop {
                return Ended::Stopped(reason);
            }
        }
    }

    /// Sees every record stored or dead-lettered, whatever it takes, unless told to stop.
    async fn process(&mut self, records: Vec<Record>) -> Result<(), Stopped> {
        // From here on records may come from a log that begins anew, in the middle.
        if self.source.incarnation.is_mixed() {
            return Err(Stopped);
        }
        // librdkafka discards what it fetched before a change of position; a record below is one that slipped through.
        let records: Vec<Record> = records.into_iter().filter(|r| self.offsets.track(r.offset).is_ok()).collect();
        if Mutant::CommitBeforeStore.is_on() {
            records.iter().for_each(|record| self.offsets.confirm(record.offset));
        }
        self.progress.show(&self.offsets, true);
        let outcome = self.settle(&records).await;
        self.progress.show(&self.offsets, false);
        outcome
    }

    async fn settle(&mut self, records: &[Record]) -> Result<(), Stopped> {
        let arrived = triage::arrived(records, &self.repeats);
        self.confirm(arrived.repeated_later);
        if arrived.has_unknown_version {
            // Gathering stops before such a record.
            return Err(Stopped);
        }
        self.bury(arrived.poisoned).await?;
        self.store(&arrived.messages).await
    }

    fn confirm(&mut self, records: Vec<&Record>) {
        for record in records {
            self.offsets.confirm(record.offset);
        }
    }

    /// Stores the messages and buries those that conflict with a stored one.
    async fn store(&mut self, records: &[&Record]) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        self.shared.metrics.observe_batch(Stage::Store, records.len());
        let messages = records.iter().filter_map(|r| r.message().cloned()).collect();
        let mut batch = Batch::new(messages, self.replaying);
        let mut met = Known::new();
        let writer = Writer {
            shared: &self.shared,
            partition: self.partition,
            heads: &mut self.heads,
            is_alone: &mut self.is_alone,
            stop: &self.stop,
        };
        let written = writer.write(&mut batch, records, &mut met).await;
        let fated = triage::fated(records, &batch, &met);
        self.confirm(fated.confirmed);
        self.replaying = fated.repeats * 2 > records.len();
        self.shared.metrics.messages_repeated_total.inc_by(u64::try_from(fated.repeats).unwrap_or(0));
        written?;
        self.add_origins(&fated.unnoted).await?;
        self.bury(fated.conflicts).await
    }

    /// Lets rows be freed whose messages were stored from other records.
    async fn add_origins(&mut self, records: &[&Record]) -> Result<(), Stopped> {
        for record in records {
            add_origin(&self.shared, &self.stop, record).await?;
            self.offsets.confirm(record.offset);
        }
        Ok(())
    }

    async fn bury(&mut self, poisoned: Vec<(&Record, Verdict)>) -> Result<(), Stopped> {
        if poisoned.is_empty() {
            return Ok(());
        }
        let (shared, stop) = (&self.shared, &self.stop);
        let burials: Vec<_> =
            poisoned.iter().map(|(record, verdict)| bury_one(shared, stop, record, verdict)).collect();
        let buried: Vec<Result<(), Stopped>> = stream::iter(burials).buffered(DEAD_LETTERS_AT_ONCE).collect().await;
        let mut outcome = Ok(());
        for ((record, _), result) in poisoned.iter().zip(buried) {
            match result {
                Ok(()) => self.offsets.confirm(record.offset),
                Err(stopped) => outcome = Err(stopped),
            }
        }
        outcome
    }
}

/// Notes on the message that is stored under the record's id that the row of this record need not be kept.
async fn add_origin(shared: &Shared, stop: &CancellationToken, record: &Record) -> Result<(), Stopped> {
    let (Some(message), Some(origin)) = (record.message(), record.trace.origin()) else { return Ok(()) };
    let mut add = Retry::new(Operation::Store, &shared.metrics, stop);
    add.until_ok("noting a row", || shared.store.add_origin(&message.message_id, &origin)).await
}

async fn bury_one(
    shared: &Shared,
    stop: &CancellationToken,
    record: &Record,
    verdict: &Verdict,
) -> Result<(), Stopped> {
    let mut produce = Retry::new(Operation::DeadLetter, &shared.metrics, stop);
    produce.until_ok("sending a dead letter", || shared.dead_letters.produce(record, verdict)).await?;
    let letter = dead_letter::document(record, verdict, unix_ms());
    let mut put = Retry::new(Operation::DeadLetter, &shared.metrics, stop);
    put.until_ok("recording a dead letter", || shared.store.put_dead_letter(&letter)).await?;
    if verdict.reason == Poison::Conflict {
        add_origin(shared, stop, record).await?;
    }
    shared.metrics.count_dead_letter(verdict.reason);
    tracing::warn!(
        topic = %shared.topic,
        partition = letter.origin.partition,
        offset = letter.origin.offset,
        message_id = letter.id,
        reason = verdict.reason.code(),
        detail = verdict.detail,
        "dead letter"
    );
    Ok(())
}
