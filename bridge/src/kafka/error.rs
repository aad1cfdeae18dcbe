//! What can go wrong with Kafka.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A failed call, or a topic that must not be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client could not be made from the settings.
    #[error("making a Kafka client")]
    Client(#[source] Box<KafkaError>),
    /// The system gives no thread.
    #[error("starting a thread for a Kafka client")]
    Thread(#[source] std::io::Error),
    /// A call failed; trying again may help.
    #[error("{step} of topic {topic}")]
    Call {
        /// What was tried.
        step: &'static str,
        /// The topic.
        topic: String,
        /// Why it failed.
        #[source]
        source: Box<KafkaError>,
    },
    /// A call about one partition failed; trying again may help.
    #[error("{step} of topic {topic} partition {partition}")]
    Partition {
        /// What was tried.
        step: &'static str,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why it failed.
        #[source]
        source: Box<KafkaError>,
    },
    /// The topic was created and is not yet visible everywhere.
    #[error("topic {topic} is not visible yet")]
    NotVisible {
        /// The topic.
        topic: String,
    },
    /// The topic has another number of partitions, which would move conversations and break their order.
    #[error(
        "topic {topic} has {found} partitions and must have {wanted}. Conversations are placed by this number, so it \
         cannot be changed in place. Procedure: stop the bridges; if nothing in the topic is needed (messages not yet \
         stored are re-sent by their outboxes), delete it and start again, and it is created with {wanted} partitions; \
         otherwise set KAFKA_TOPIC to a new name after the old topic has been consumed to its end"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many it must have.
        wanted: usize,
    },
    /// A setting of the topic would lose or reorder messages.
    #[error(
        "topic {topic} has {name}={found} and must have {wanted}. Procedure: kafka-configs.sh --bootstrap-server \
         <broker> --alter --entity-type topics --entity-name {topic} --add-config {name}={wanted}"
    )]
    Setting {
        /// The topic.
        topic: String,
        /// The topic's setting.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        wanted: String,
    },
    /// A blocking call was cut off because the process ends.
    #[error("the process is ending")]
    Ending,
}

impl Error {
    /// Whether Kafka refuses this for want of rights, which only a person can heal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let (Self::Call { source, .. } | Self::Partition { source, .. } | Self::Client(source)) = self else {
            return false;
        };
        matches!(
            source.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::Authentication
            )
        )
    }

    pub(crate) fn client(source: KafkaError) -> Self {
        Self::Client(Box::new(source))
    }

    /// Whether only an operator can help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            // A refused setting stays refused; threads and file descriptors come back.
            Self::Client(source) => !matches!(**source, KafkaError::ClientCreation(_)),
            Self::Partitions { .. } | Self::Setting { .. } => true,
            Self::Thread(_) | Self::Call { .. } | Self::Partition { .. } | Self::NotVisible { .. } | Self::Ending => {
                false
            }
        }
    }
}
