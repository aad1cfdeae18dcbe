//! Batches: what has gathered in a partition's queue, without waiting for more.

use futures::FutureExt as _;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::util::TokioRuntime;
use wiber_model::record::Decoded;

use super::epochs::Epochs;
use super::gap::Trouble;
use super::rebalance::Context;
use super::record::Record;
use crate::clock::unix_ms;
use crate::kafka::epoch;

/// Most records of one write.
pub(super) const RECORDS_MAX: usize = 1_000;
/// Bytes after which a batch takes no further record.
pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;

/// The queue of one partition.
pub(super) type Queue = StreamPartitionQueue<Context, TokioRuntime>;

/// Why a partition is read no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// A version that this program does not know, at this offset.
    UnknownVersion { offset: i64, version: String },
    /// The log cannot be read on.
    Log(Trouble),
}

/// Records in log order, and why none follows, if that is so.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) records: Vec<Record>,
    pub(super) stop: Option<Stop>,
}

/// Waits for one record, then takes what is there. Dropping the future loses only what is not confirmed.
pub(super) async fn gather(queue: &Queue, epochs: &Epochs) -> Gathered {
    let mut gathered = Gathered::default();
    let mut bytes = 0;
    let read = |raw: BorrowedMessage<'_>| {
        epochs.read(raw.partition(), raw.offset(), epoch::of_record(&raw));
        Record::read(&raw, unix_ms())
    };
    let mut next = Some(queue.recv().await.map(read));
    while let Some(answer) = next {
        match answer {
            Ok(record) => {
                if let Decoded::UnknownVersion(version) = &record.decoded {
                    let (offset, version) = (record.offset, version.clone());
                    gathered.stop = Some(Stop::UnknownVersion { offset, version });
                    break;
                }
                bytes += record.bytes;
                gathered.records.push(record);
            }
            Err(error) => {
                if let Some(trouble) = classify(&error) {
                    gathered.stop = Some(Stop::Log(trouble));
                    break;
                }
                tracing::warn!(%error, "a partition's fetch failed and is tried again");
            }
        }
        if gathered.records.len() >= RECORDS_MAX || bytes >= BYTES_MAX {
            break;
        }
        next = queue.recv().now_or_never().map(|answer| answer.map(read));
    }
    gathered
}

/// Errors after which librdkafka goes on elsewhere or not at all; every other one it retries by itself.
fn classify(error: &KafkaError) -> Option<Trouble> {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::LogTruncation,
        ) => Some(Trouble::OffsetGone),
        // The records of the bad batch would be left out silently.
        Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::InvalidMessage) => {
            Some(Trouble::Unreadable)
        }
        _ => None,
    }
}
