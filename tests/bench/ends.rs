//! How many records a topic has got.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use wiber_model::record::PARTITIONS;
use wiber_tests::stack::Stack;

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The ends of a topic's partitions.
pub(crate) struct Ends {
    consumer: BaseConsumer,
    topic: String,
}

impl Ends {
    /// Those of a deployment's topic; nothing is asked yet.
    ///
    /// # Errors
    /// If no client can be made.
    pub(crate) fn of(stack: &Stack) -> anyhow::Result<Self> {
        let consumer =
            ClientConfig::new().set("bootstrap.servers", &stack.kafka).set("group.id", &stack.topic).create()?;
        Ok(Self { consumer, topic: stack.topic.clone() })
    }

    /// How many records were ever appended.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub(crate) fn sum(&self) -> anyhow::Result<u64> {
        let end = |partition| {
            let ends = self.consumer.fetch_watermarks(&self.topic, partition, TIME_LIMIT)?;
            Ok(u64::try_from(ends.1)?)
        };
        (0..PARTITIONS).map(end).sum()
    }
}
