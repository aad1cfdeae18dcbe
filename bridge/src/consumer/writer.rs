//! Carries out the sequence rule on the store: the consumer's steps (c) to (f).

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::heads::Heads;
use super::partition::Shared;
use super::record::Record;
use super::retry::{Retry, Stopped};
use super::sequence::{Batch, Place, Step};
use crate::clock::unix_ms;
use crate::mutant::Mutant;
use crate::store::{Doubt, Hops, Known, MessageDocument, Outcome};
use crate::telemetry::{Hop, Operation};

const STORING: &str = "storing messages";
const LOOKING_UP: &str = "looking messages up";

/// What one partition writes with.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) partition: i32,
    pub(super) heads: &'a mut Heads,
    /// The last write failed, which it may do again for a reason that other partitions need not suffer from.
    pub(super) is_alone: &'a mut bool,
    pub(super) stop: &'a CancellationToken,
}

impl Writer<'_> {
    /// Gives every message of the batch its fate. `records` are those of its messages, in order; `met` gets what was
    /// stored before.
    pub(super) async fn write(self, batch: &mut Batch, records: &[&Record], met: &mut Known) -> Result<(), Stopped> {
        let Self { shared, partition, heads, is_alone, stop } = self;
        let store = &shared.store;
        let mut writes = Retry::new(Operation::Store, &shared.metrics, stop);
        let mut reads = Retry::new(Operation::Lookup, &shared.metrics, stop);
        loop {
            match batch.next(heads) {
                Step::Finished => return Ok(()),
                Step::ReadHeads(conversations) => {
                    let found = reads.until_ok(LOOKING_UP, || store.heads(&conversations)).await?;
                    batch.heads_read(&found, heads);
                }
                Step::ReadBack { ids, conversations } => {
                    // Ids first: a head read afterwards counts whatever was stored in between.
                    let known: Known = reads.until_ok(LOOKING_UP, || store.known(&ids)).await?;
                    let found: HashMap<String, i64> =
                        reads.until_ok(LOOKING_UP, || store.heads(&conversations)).await?;
                    let moved = batch.read_back(&known, found, heads);
                    met.extend(known);
                    if !moved {
                        writes.wait().await?;
                    }
                }
                Step::Write(places) => {
                    let documents = documents(batch, &places, records, shared, partition);
                    // A write is never interrupted: giving up the partition waits for it.
                    let outcome = if *is_alone {
                        store.insert(&documents).await
                    } else {
                        store.insert_together(&documents).await
                    };
                    *is_alone = !matches!(outcome, Outcome::Done);
                    match outcome {
                        Outcome::Done => {
                            writes.succeeded(STORING);
                            batch.written(&places, heads);
                            observe(&documents, shared);
                        }
                        Outcome::Doubtful(Doubt::Duplicate, _) if Mutant::NoFence.is_on() => {
                            batch.written(&places, heads)
                        }
                        Outcome::Doubtful(Doubt::Unknown, _) | Outcome::NothingWritten(_)
                            if Mutant::DeadLetterOnTimeout.is_on() =>
                        {
                            batch.give_up();
                        }
                        Outcome::Doubtful(doubt, error) => {
                            batch.doubt(heads);
                            shared.metrics.count_retry(Operation::Store);
                            tracing::debug!(partition, doubt = doubt.code(), %error, "the outcome of a write is read back");
                            if stop.is_cancelled() {
                                return Err(Stopped);
                            }
                        }
                        Outcome::NothingWritten(error) => {
                            writes.failed(STORING, &error);
                            writes.wait().await?;
                        }
                    }
                }
            }
        }
    }
}

fn documents(
    batch: &Batch,
    places: &[Place],
    records: &[&Record],
    shared: &Shared,
    partition: i32,
) -> Arc<[MessageDocument]> {
    let stored_at = unix_ms();
    let document = |place: &Place| {
        let record = records[place.index];
        let message = batch.message(place.index);
        let log = crate::store::Place { topic: shared.topic.to_string(), partition, offset: record.offset };
        let hops = Hops { accepted_at: message.timestamp, published_at: record.published_at, stored_at };
        MessageDocument::new(message, place.seq, log, hops, record.trace.clone())
    };
    places.iter().map(document).collect()
}

fn observe(documents: &[MessageDocument], shared: &Shared) {
    let now = unix_ms();
    shared.metrics.messages_stored_total.inc_by(u64::try_from(documents.len()).unwrap_or(0));
    for document in documents {
        shared.metrics.observe_hop_ms(Hop::PublishToStore, document.hops.published_at, now);
        shared.metrics.observe_end_to_end_ms(document.hops.accepted_at, now);
        tracing::debug!(
            message_id = %document.id,
            request_id = document.trace.request_id,
            traceparent = document.trace.traceparent,
            partition = document.log.partition,
            offset = document.log.offset,
            "stored"
        );
    }
}
