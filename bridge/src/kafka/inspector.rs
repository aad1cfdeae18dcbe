//! Questions about the log: what there is, from where to where, and how far the group has come. It joins no group and
//! reads no messages.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use wiber_model::record::PARTITIONS;

use super::context::LogContext;
use super::describe::{self, Description};
use super::error::Error;
use crate::config;

/// How long a question may take, unless the caller says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The offsets between which a partition's log can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub low: i64,
    /// The offset that the next record gets.
    pub high: i64,
}

/// A client that only asks. Making one needs no reachable broker; cloning shares it.
#[derive(Clone)]
pub struct Inspector {
    inner: Arc<Inner>,
}

struct Inner {
    client: BaseConsumer<LogContext>,
    kafka: config::Kafka,
}

impl Inspector {
    /// A client for the cluster and group of `kafka`.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(kafka: &config::Kafka) -> Result<Self, Error> {
        let mut config = super::client_config(kafka);
        // The group's name is needed to ask for its offsets; without a subscription the client never joins.
        config.set("group.id", &kafka.consumer_group).set("enable.auto.commit", "false");
        let client = config.create_with_context(LogContext).map_err(Error::client)?;
        Ok(Self { inner: Arc::new(Inner { client, kafka: kafka.clone() }) })
    }

    /// The topic of messages.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.inner.kafka.topic
    }

    /// The topic of dead letters.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        self.inner.kafka.dead_letter_topic()
    }

    /// The settings that the client was made from.
    #[must_use]
    pub fn settings(&self) -> &config::Kafka {
        &self.inner.kafka
    }

    /// Whether a broker answers a question about the topic in time, whatever it says.
    pub async fn answers(&self, timeout: Duration) -> bool {
        let answer = self
            .blocking(move |inner| {
                // Log lines and errors queue up until someone polls.
                while inner.client.poll(Timeout::After(Duration::ZERO)).is_some() {}
                Ok(inner.client.fetch_metadata(Some(&inner.kafka.topic), timeout).is_ok())
            })
            .await;
        answer.unwrap_or(false)
    }

    /// A topic's id and partitions, `None` if it does not exist.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn describe(&self, topic: &str) -> Result<Option<Description>, Error> {
        let topic = topic.to_owned();
        self.blocking(move |inner| {
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
        self.blocking(move |inner| inner.watermarks(partition)).await
    }

    /// The same for every partition, in order.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses for one of them.
    pub async fn all_watermarks(&self) -> Result<Vec<Watermarks>, Error> {
        self.blocking(|inner| (0..PARTITIONS).map(|p| inner.watermarks(p)).collect()).await
    }

    /// The group's committed offset of every partition, in order; `None` where it has committed nothing.
    ///
    /// # Errors
    /// If Kafka does not answer or refuses.
    pub async fn committed(&self) -> Result<Vec<Option<i64>>, Error> {
        self.blocking(|inner| {
            let topic = &inner.kafka.topic;
            let call =
                |source| Error::Call { step: "committed offsets", topic: topic.clone(), source: Box::new(source) };
            let mut list = TopicPartitionList::new();
            list.add_partition_range(topic, 0, PARTITIONS - 1);
            let list = inner.client.committed_offsets(list, TIMEOUT).map_err(call)?;
            (0..PARTITIONS).map(|p| committed_of(&list, topic, p)).collect()
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || question(&inner)).await.unwrap_or(Err(Error::Ending))
    }
}

impl Inner {
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
