//! Questions about the log and the group: what there is, from where to where, how far the group has come, and who reads
//! what. It joins no group and reads no messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use wiber_model::record::PARTITIONS;

use super::context::LogContext;
use super::describe::{self, Description};
use super::epoch;
use super::error::Error;
use super::outage::Outage;
use super::shares;
use crate::config;

/// How long a question may take, unless the caller says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without one good answer the client is made anew: librdkafka may have forgotten a broker for good that
/// the cluster did not list for a moment (confluentinc/librdkafka issue 5511). If Kafka is down that changes nothing.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What the group has committed of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Everything below is stored or dead-lettered.
    pub offset: i64,
    /// The leader epoch of the record below it, where it was committed too.
    pub epoch: Option<i32>,
}

/// The offsets between which a partition's log can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub low: i64,
    /// The offset that the next record gets.
    pub high: i64,
}

/// How Kafka is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// A broker answers.
    pub answers: bool,
    /// Every partition of the topic of messages has a leader and enough copies.
    pub takes_records: bool,
}

/// A client that only asks. Making one needs no reachable broker; cloning shares it.
#[derive(Clone)]
pub struct Inspector {
    kafka: Arc<config::Kafka>,
    current: Arc<Mutex<Current>>,
}

/// The client of the moment, and for how long it has been of no use. The group's coordinator is another connection than
/// the brokers', so its silence counts by itself.
struct Current {
    inner: Arc<Inner>,
    brokers: Outage,
    coordinator: Outage,
}

#[derive(Clone, Copy)]
enum Asked {
    Brokers,
    Coordinator,
}

struct Inner {
    client: BaseConsumer<LogContext>,
    kafka: Arc<config::Kafka>,
}

impl Inspector {
    /// A client for the cluster and group of `kafka`.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(kafka: &config::Kafka) -> Result<Self, Error> {
        let kafka = Arc::new(kafka.clone());
        let inner = Arc::new(Inner::new(Arc::clone(&kafka))?);
        let current = Current { inner, brokers: Outage::default(), coordinator: Outage::default() };
        Ok(Self { kafka, current: Arc::new(Mutex::new(current)) })
    }

    /// The topic of messages.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.kafka.topic
    }

    /// The topic of dead letters.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        self.kafka.dead_letter_topic()
    }

    /// The settings that the client was made from.
    #[must_use]
    pub fn settings(&self) -> &config::Kafka {
        &self.kafka
    }

    /// Whether a broker answers a question about the topic in time, and whether the topic can be written to.
    pub async fn health(&self, timeout: Duration) -> Health {
        let health = self.blocking(Asked::Brokers, move |inner| {
            // Log lines and errors queue up until someone polls.
            while inner.client.poll(Timeout::After(Duration::ZERO)).is_some() {}
            let topic = &inner.kafka.topic;
            let answer = inner.client.fetch_metadata(Some(topic), timeout);
            let metadata = answer.map_err(|source| Error::Call {
                step: "metadata",
                topic: topic.clone(),
                source: Box::new(source),
            })?;
            let copies_min = usize::try_from(inner.kafka.min_insync_replicas).unwrap_or(1);
            let takes = |partition: &MetadataPartition| partition.leader() >= 0 && partition.isr().len() >= copies_min;
            let partitions = metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
            Ok(Health { answers: true, takes_records: !partitions.is_empty() && partitions.iter().all(takes) })
        });
        health.await.unwrap_or_default()
    }

    /// A topic's id and partitions, `None` if it does not exist.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn describe(&self, topic: &str) -> Result<Option<Description>, Error> {
        let topic = topic.to_owned();
        self.blocking(Asked::Brokers, move |inner| {
            describe::describe(inner.client.client(), &topic, TIMEOUT).map_err(|source| Error::Call {
                step: "description",
                topic,
                source: Box::new(source),
            })
        })
        .await
    }

    /// The id that a topic got at its creation, `None` if there is no such topic or brokers have no ids.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn topic_id(&self, topic: &str) -> Result<Option<String>, Error> {
        Ok(self.describe(topic).await?.and_then(|d| d.id))
    }

    /// From where to where a partition of the topic of messages can be read.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn watermarks(&self, partition: i32) -> Result<Watermarks, Error> {
        self.blocking(Asked::Brokers, move |inner| inner.watermarks(partition)).await
    }

    /// The same for every partition, in order.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses for one of them.
    pub async fn all_watermarks(&self) -> Result<Vec<Watermarks>, Error> {
        self.blocking(Asked::Brokers, |inner| (0..PARTITIONS).map(|p| inner.watermarks(p)).collect()).await
    }

    /// The same for every partition, side by side, so that one without a leader hides no other; `None` where there is no
    /// answer.
    pub async fn each_watermarks(&self) -> Vec<Option<Watermarks>> {
        let each = (0..PARTITIONS).map(|partition| self.watermarks(partition));
        futures::future::join_all(each).await.into_iter().map(Result::ok).collect()
    }

    /// The group's committed offset of every partition, in order; `None` where it has committed nothing.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn committed(&self) -> Result<Vec<Option<Committed>>, Error> {
        self.blocking(Asked::Coordinator, |inner| {
            let topic = &inner.kafka.topic;
            let call =
                |source| Error::Call { step: "committed offsets", topic: topic.clone(), source: Box::new(source) };
            let mut list = TopicPartitionList::new();
            list.add_partition_range(topic, 0, PARTITIONS - 1);
            let list = inner.client.committed_offsets(list, TIMEOUT).map_err(call)?;
            let epochs = epoch::of_list(&list);
            let with_epoch = |(partition, epoch)| {
                let offset = committed_of(&list, topic, partition)?;
                Ok(offset.map(|offset| Committed { offset, epoch }))
            };
            (0..PARTITIONS).zip(epochs).map(with_epoch).collect()
        })
        .await
    }

    /// The partitions that each member of the group was given, `None` while the group has not settled.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn shares(&self) -> Result<Option<Vec<Vec<i32>>>, Error> {
        // Each is asked for its groups.
        self.blocking(Asked::Brokers, |inner| {
            let config::Kafka { topic, consumer_group, .. } = &*inner.kafka;
            shares::shares(inner.client.client(), consumer_group, topic, TIMEOUT).map_err(|source| Error::Call {
                step: "the group's members",
                topic: topic.clone(),
                source: Box::new(source),
            })
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        asked: Asked,
        question: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inspector = self.clone();
        let answer = spawn_blocking(move || {
            let inner = Arc::clone(&inspector.current().inner);
            let answer = question(&inner);
            inspector.judge(asked, &inner, answer.is_ok());
            answer
        });
        answer.await.unwrap_or(Err(Error::Ending))
    }

    /// Makes the client anew if it has been of no use for too long.
    fn judge(&self, asked: Asked, used: &Arc<Inner>, good: bool) {
        let mut current = self.current();
        // What an earlier client could not do says nothing about this one.
        if !Arc::ptr_eq(&current.inner, used) {
            return;
        }
        let outage = match asked {
            Asked::Brokers => &mut current.brokers,
            Asked::Coordinator => &mut current.coordinator,
        };
        if outage.note(good, Instant::now()) < SILENCE_MAX {
            return;
        }
        match Inner::new(Arc::clone(&self.kafka)) {
            Ok(inner) => {
                tracing::debug!(topic = self.topic(), "the client that asks Kafka is made anew");
                let inner = Arc::new(inner);
                let old = std::mem::replace(
                    &mut *current,
                    Current { inner, brokers: Outage::default(), coordinator: Outage::default() },
                );
                drop(current);
                // Closing may take long; this is a blocking thread, and the last user of the old client closes it.
                drop(old);
            }
            Err(error) => tracing::warn!(%error, "the client that asks Kafka cannot be made anew"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(kafka: Arc<config::Kafka>) -> Result<Self, Error> {
        let mut config = super::client_config(&kafka);
        // The group's name is needed to ask for its offsets; without a subscription the client never joins.
        config.set("group.id", &kafka.consumer_group).set("enable.auto.commit", "false");
        let client = config.create_with_context(LogContext).map_err(Error::client)?;
        Ok(Self { client, kafka })
    }

    fn watermarks(&self, partition: i32) -> Result<Watermarks, Error> {
        match self.client.fetch_watermarks(&self.kafka.topic, partition, TIMEOUT) {
            Ok((low, high)) => Ok(Watermarks { low, high }),
            Err(source) => Err(Error::Partition {
                step: "first and last offset",
                topic: self.kafka.topic.clone(),
                partition,
                source: Box::new(source),
            }),
        }
    }
}

fn committed_of(list: &TopicPartitionList, topic: &str, partition: i32) -> Result<Option<i64>, Error> {
    let fail = |source| Error::Partition {
        step: "committed offset",
        topic: topic.to_owned(),
        partition,
        source: Box::new(source),
    };
    let Some(element) = list.find_partition(topic, partition) else {
        return Err(fail(KafkaError::NoMessageReceived));
    };
    element.error().map_err(fail)?;
    match element.offset() {
        Offset::Offset(offset) => Ok(Some(offset)),
        _ => Ok(None),
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").field("topic", &self.topic()).finish_non_exhaustive()
    }
}
