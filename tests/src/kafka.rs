//! A second way to look into Kafka, past the bridge, and a way to put anything there.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use wiber_model::record::PARTITIONS;

use crate::wait;

const TIME_LIMIT: Duration = Duration::from_secs(20);

/// One record as it lies in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, as text.
    pub headers: HashMap<String, String>,
}

impl Record {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Every record of `topic`, by partition and offset.
///
/// # Errors
/// If Kafka does not answer.
///
/// # Panics
/// If the reading task does.
pub async fn scan(bootstrap: &str, topic: &str) -> Result<Vec<Record>, KafkaError> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || scan_blocking(&bootstrap, &topic)).await.expect("the scan does not panic")
}

fn scan_blocking(bootstrap: &str, topic: &str) -> Result<Vec<Record>, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", crate::names::unique("scan"))
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .create()?;
    let mut ends = HashMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks(topic, partition, TIME_LIMIT)?;
        if high > low {
            ends.insert(partition, high);
            assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
        }
    }
    consumer.assign(&assignment)?;
    let mut records = Vec::new();
    while !ends.is_empty() {
        let timed_out = || KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
        let message = consumer.poll(TIME_LIMIT).ok_or_else(timed_out)??;
        let record = Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().into_iter().flat_map(|headers| headers.iter()).map(text).collect(),
        };
        if ends.get(&record.partition).is_some_and(|end| record.offset + 1 >= *end) {
            ends.remove(&record.partition);
        }
        records.push(record);
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

fn text(header: Header<'_, &[u8]>) -> (String, String) {
    (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
}

/// Appends `record` to its partition of `topic` and returns its offset.
///
/// # Panics
/// If Kafka does not take it.
pub async fn produce(bootstrap: &str, topic: &str, record: &Record) -> i64 {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .create()
        .expect("the harness's settings are valid");
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
    let mut out: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).partition(record.partition).headers(headers);
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    let delivery = producer.send(out, Timeout::After(TIME_LIMIT)).await;
    delivery.map(|delivery| delivery.offset).unwrap_or_else(|(error, _)| panic!("Kafka refused a record: {error}"))
}

/// A topic's number of partitions and its settings.
///
/// # Panics
/// If Kafka does not answer or has no such topic.
pub async fn describe(bootstrap: &str, topic: &str) -> (i32, HashMap<String, String>) {
    let admin = admin(bootstrap);
    // The bridge may not have made it yet; it is then listed with an error and without partitions.
    let partitions = wait::until("the topic's partitions", async || {
        let metadata = admin.inner().fetch_metadata(Some(topic), TIME_LIMIT).map_err(|error| error.to_string())?;
        let made = |found: &&MetadataTopic| found.error().is_none() && !found.partitions().is_empty();
        let found = metadata.topics().first().filter(made).map(|found| found.partitions().len());
        found.ok_or_else(|| "no such topic yet".to_owned())
    })
    .await;
    let asked = [ResourceSpecifier::Topic(topic)];
    let answers = admin.describe_configs(&asked, &AdminOptions::new()).await.expect("Kafka answers");
    let settings = answers.into_iter().next().expect("one topic was asked for").expect("the topic exists");
    let settings = settings.entries.into_iter().map(|entry| (entry.name, entry.value.unwrap_or_default())).collect();
    (i32::try_from(partitions).unwrap_or(-1), settings)
}

/// Creates a topic with the settings that the bridge gives its own.
///
/// # Panics
/// If Kafka does not in time; a topic that was deleted a moment ago stands in the way for a while.
pub async fn create(bootstrap: &str, topic: &str, partitions: i32) {
    create_copied(bootstrap, topic, partitions, Copies::ONE).await;
}

/// How many brokers have each record.
#[derive(Debug, Clone, Copy)]
pub struct Copies {
    /// In all.
    pub replicas: i32,
    /// At least, before it is acknowledged.
    pub in_sync: i32,
}

impl Copies {
    /// One broker.
    pub const ONE: Self = Self { replicas: 1, in_sync: 1 };
}

/// As [`create`], with copies on several brokers.
///
/// # Panics
/// As [`create`].
pub async fn create_copied(bootstrap: &str, topic: &str, partitions: i32, copies: Copies) {
    let admin = admin(bootstrap);
    let in_sync = copies.in_sync.to_string();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies.replicas))
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("message.timestamp.type", "LogAppendTime")
        .set("unclean.leader.election.enable", "false")
        .set("min.insync.replicas", &in_sync);
    wait::until("the topic's creation", async || {
        let created = admin.create_topics([&new], &AdminOptions::new()).await.map_err(|error| error.to_string())?;
        match created.into_iter().next() {
            // The bridge was faster.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Deletes a topic with all its records.
///
/// # Panics
/// If Kafka does not.
pub async fn delete(bootstrap: &str, topic: &str) {
    let deleted = admin(bootstrap).delete_topics(&[topic], &AdminOptions::new()).await.expect("Kafka answers");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
}

/// Deletes every record of a topic; offsets go on from where they were.
///
/// # Panics
/// If Kafka does not.
pub async fn delete_records(bootstrap: &str, topic: &str) {
    let mut ends = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        ends.add_partition_offset(topic, partition, Offset::End).expect("an offset that Kafka knows");
    }
    admin(bootstrap).delete_records(&ends, &AdminOptions::new()).await.expect("Kafka deletes the records");
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    let admin = ClientConfig::new().set("bootstrap.servers", bootstrap).create();
    admin.expect("the harness's settings are valid")
}
