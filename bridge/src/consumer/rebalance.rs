//! librdkafka's callbacks. They run on the polling task and must not wait, so each only sends an event; the group
//! answers with its own calls when it has resolved or drained the partitions.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;
use wiber_model::query::Dependency;

use super::incarnation::Incarnation;
use super::membership::Membership;
use crate::kafka::{LogContext, is_leaderless, log_event};
use crate::status::Board;

/// What the group's coordinator decided. The first three wait for the group's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// These partitions are now owned.
    Assigned(Vec<i32>),
    /// These must be given up, in order.
    Revoked(Vec<i32>),
    /// These were taken away: another may own them already.
    Lost(Vec<i32>),
}

/// Receives the callbacks.
pub(super) struct Context {
    topic: String,
    events: UnboundedSender<Event>,
    incarnation: Arc<Incarnation>,
    membership: Membership,
    board: Board,
    /// Why this client can do nothing more, once that is so.
    fatal: OnceLock<String>,
}

impl Context {
    pub(super) fn new(
        topic: &str,
        events: UnboundedSender<Event>,
        incarnation: Arc<Incarnation>,
        membership: Membership,
        board: Board,
    ) -> Self {
        Self { topic: topic.to_owned(), events, incarnation, membership, board, fatal: OnceLock::new() }
    }

    /// Why this client must be replaced, if it must.
    pub(super) fn fatal(&self) -> Option<&str> {
        self.fatal.get().map(String::as_str)
    }

    /// Marks this client as one that must be replaced.
    pub(super) fn set_fatal(&self, reason: impl Into<String>) {
        // The first reason is the cause; later ones follow from it.
        let _ = self.fatal.set(reason.into());
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.incarnation.observe(facility, message);
        if is_leaderless(facility, message) {
            self.membership.leaderless();
        }
        LogContext.log(level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let kafka_is_well = self.board.kafka() == Dependency::Connected && self.board.kafka_takes_records();
        if let Some(reason) = self.membership.observe(statistics, kafka_is_well, Instant::now()) {
            self.set_fatal(reason);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            self.set_fatal(format!("{error}: {reason}"));
        }
        log_event(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        // A static member that comes back with another topic is still given what it had.
        let own = |partition: &TopicPartitionListElem<'_>| partition.topic() == self.topic;
        let partitions: Vec<i32> = list.elements().iter().filter(|e| own(e)).map(|e| e.partition()).collect();
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let event = match (assigned, consumer.assignment_lost()) {
            (true, _) => Event::Assigned(partitions),
            (false, true) => Event::Lost(partitions),
            (false, false) => Event::Revoked(partitions),
        };
        // Once the group has ended, while the client closes, nobody else can answer, and the client would wait for ever.
        if self.events.send(event).is_err() {
            answer_alone(consumer, assigned);
        }
    }
}

fn answer_alone(consumer: &BaseConsumer<Context>, assigned: bool) {
    let answer = if assigned {
        consumer.incremental_assign(&TopicPartitionList::new())
    } else {
        consumer.assignment().and_then(|all| consumer.incremental_unassign(&all))
    };
    if let Err(error) = answer {
        tracing::debug!(%error, "a rebalance during the close");
    }
}
