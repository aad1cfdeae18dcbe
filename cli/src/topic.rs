//! Reading a topic from one offset to another, without a group: nothing is committed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use wiber_bridge::config;
use wiber_bridge::kafka::{LogContext, client_config};
use wiber_model::record::PARTITIONS;
use wiber_servers::progress::Task;

/// How long a question may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a record before looking at the clock.
const POLL: Duration = Duration::from_millis(200);
/// How long Kafka may send nothing though there is something to read.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A topic that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("making a Kafka client")]
    Client(#[source] Box<KafkaError>),
    #[error("{step} of topic {topic} from Kafka at {servers} (KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPIC)")]
    Call {
        step: &'static str,
        topic: String,
        servers: String,
        #[source]
        source: Box<KafkaError>,
    },
    #[error(
        "Kafka at {servers} (KAFKA_BOOTSTRAP_SERVERS) sends nothing of topic {topic} partition {partition} below {end}"
    )]
    Silent { servers: String, topic: String, partition: i32, end: i64 },
}

/// Offsets of a partition: from the first to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) partition: i32,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Range {
    pub(crate) fn len(self) -> u64 {
        u64::try_from(self.to - self.from).unwrap_or(0)
    }
}

/// A topic to be read.
pub(crate) struct Topic {
    consumer: BaseConsumer<LogContext>,
    name: String,
    servers: String,
}

impl Topic {
    /// A client for a topic; nothing is asked yet.
    pub(crate) fn open(kafka: &config::Kafka, name: &str) -> Result<Self, Error> {
        let mut client = client_config(kafka);
        client
            .set("client.id", "wiber")
            // A name is needed; without a subscription and without commits the group never hears of this client.
            .set("group.id", &kafka.consumer_group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true");
        let consumer = client.create_with_context(LogContext).map_err(|error| Error::Client(Box::new(error)))?;
        Ok(Self { consumer, name: name.to_owned(), servers: kafka.bootstrap_servers.clone() })
    }

    /// The topic's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What can be read of every partition, in order.
    pub(crate) fn ends(&self) -> Result<Vec<Range>, Error> {
        let ends = |partition| {
            let (from, to) = self
                .consumer
                .fetch_watermarks(&self.name, partition, TIMEOUT)
                .map_err(self.failed("the first and last offset"))?;
            Ok(Range { partition, from, to })
        };
        (0..PARTITIONS).map(ends).collect()
    }

    /// Of each range, the first offset that was appended at a time or later; the range's end if there is none.
    pub(crate) fn since(&self, ranges: &[Range], millis: i64) -> Result<Vec<i64>, Error> {
        let mut asked = TopicPartitionList::new();
        for range in ranges {
            let added = asked.add_partition_offset(&self.name, range.partition, Offset::Offset(millis.max(0)));
            added.map_err(self.failed("asking for an offset"))?;
        }
        let found = self.consumer.offsets_for_times(asked, TIMEOUT).map_err(self.failed("the offsets of a time"))?;
        let offset = |range: &Range| match found.find_partition(&self.name, range.partition).map(|p| p.offset()) {
            Some(Offset::Offset(offset)) => offset.clamp(range.from, range.to),
            _ => range.to,
        };
        Ok(ranges.iter().map(offset).collect())
    }

    /// Hands every record of the ranges to `each`, partition by partition in order, one partition's among another's.
    /// Blocks.
    pub(crate) fn read(
        &self,
        ranges: &[Range],
        task: Option<&Task>,
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), Error> {
        let mut open: HashMap<i32, i64> = HashMap::new();
        let mut assignment = TopicPartitionList::new();
        for range in ranges.iter().filter(|range| range.len() > 0) {
            open.insert(range.partition, range.to);
            let added = assignment.add_partition_offset(&self.name, range.partition, Offset::Offset(range.from));
            added.map_err(self.failed("asking for records"))?;
        }
        self.consumer.assign(&assignment).map_err(self.failed("asking for records"))?;
        let (total, mut done, mut heard) = (ranges.iter().map(|range| range.len()).sum(), 0_u64, Instant::now());
        while let Some((&partition, &end)) = open.iter().next() {
            let ended = match self.consumer.poll(POLL) {
                None if heard.elapsed() > SILENCE_MAX => {
                    let (servers, topic) = (self.servers.clone(), self.name.clone());
                    return Err(Error::Silent { servers, topic, partition, end });
                }
                None => continue,
                Some(Err(KafkaError::PartitionEOF(partition))) => Some(partition),
                Some(Err(error)) if is_transient(&error) => continue,
                Some(Err(error)) => return Err(self.failed("records")(error)),
                Some(Ok(record)) => {
                    let partition = record.partition();
                    let Some(end) = open.get(&partition).copied() else { continue };
                    if record.offset() < end {
                        each(&record);
                        done += 1;
                    }
                    (record.offset() + 1 >= end).then_some(partition)
                }
            };
            heard = Instant::now();
            if let Some(task) = task.filter(|_| done % 1_000 == 0) {
                task.at(done, total);
            }
            if let Some(partition) = ended.filter(|partition| open.remove(partition).is_some()) {
                let mut finished = TopicPartitionList::new();
                finished.add_partition(&self.name, partition);
                self.consumer.pause(&finished).map_err(self.failed("pausing"))?;
            }
        }
        // A partition stays paused when it is assigned again.
        self.consumer.resume(&assignment).map_err(self.failed("giving up"))?;
        self.consumer.unassign().map_err(self.failed("giving up"))
    }

    fn failed(&self, step: &'static str) -> impl FnOnce(KafkaError) -> Error {
        let (topic, servers) = (self.name.clone(), self.servers.clone());
        move |source| Error::Call { step, topic, servers, source: Box::new(source) }
    }
}

/// A broker that is away for a moment; if it stays away, the silence tells.
fn is_transient(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// The text of a record's header, if it is text: the last of its name, since what is added comes last.
pub(crate) fn header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let found = record.headers()?.iter().filter(|header| header.key == name).last()?;
    std::str::from_utf8(found.value?).ok()
}

/// When Kafka appended a record, Unix milliseconds.
pub(crate) fn appended_ms(record: &BorrowedMessage<'_>) -> i64 {
    record.timestamp().to_millis().unwrap_or(0)
}
