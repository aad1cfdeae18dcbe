//! The group's Kafka client: the few calls that the group makes, in its terms.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::committer::{Committed, Committer, Offsets, list};
use super::epochs::Epochs;
use super::gather::Queue;
use super::incarnation::Incarnation;
use super::rebalance::Context;
use crate::kafka::epoch;

/// Why a client is of no more use once its topic is another.
pub(super) const MADE_ANEW: &str = "the topic was made anew";

/// How often and how long a seek is tried right after an assignment; the partition's next turn comes soon.
const SEEKS_MAX: u32 = 8;
const SEEK_PAUSE: Duration = Duration::from_millis(1);
const SEEK_LIMIT: Duration = Duration::from_millis(200);

/// A member of the consumer group.
pub(super) struct Client {
    consumer: Arc<StreamConsumer<Context>>,
    committer: Committer,
    topic: Arc<str>,
    incarnation: Arc<Incarnation>,
    epochs: Arc<Epochs>,
}

impl Client {
    /// A client whose commits are answered into `commits`.
    pub(super) fn new(
        consumer: StreamConsumer<Context>,
        topic: Arc<str>,
        incarnation: Arc<Incarnation>,
        commits: UnboundedSender<Committed>,
    ) -> std::io::Result<Self> {
        let consumer = Arc::new(consumer);
        let epochs = Arc::<Epochs>::default();
        let committer = Committer::start(Arc::clone(&consumer), Arc::clone(&topic), Arc::clone(&epochs), commits)?;
        Ok(Self { consumer, committer, topic, incarnation, epochs })
    }

    /// Why this client must be replaced, if it must.
    pub(super) fn failure(&self) -> Option<String> {
        if self.incarnation.is_mixed() {
            return Some(MADE_ANEW.to_owned());
        }
        self.consumer.context().fatal().map(str::to_owned)
    }

    /// Marks this client as one that must be replaced.
    pub(super) fn fail(&self, reason: impl Into<String>) {
        self.consumer.context().set_fatal(reason);
    }

    pub(super) fn incarnation(&self) -> &Arc<Incarnation> {
        &self.incarnation
    }

    /// Of the records that this client reads.
    pub(super) fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// Answers an assignment without reading anything yet.
    pub(super) fn accept(&self) {
        self.check("accepting partitions", self.consumer.incremental_assign(&TopicPartitionList::new()));
    }

    /// Begins to read a partition at an offset, into a queue of its own. With the leader epoch of the record below it a log
    /// that was cut there is an error in the queue, even where it has grown again.
    pub(super) async fn read(&self, partition: i32, at: i64, epoch: Option<i32>) -> Option<Queue> {
        // Split first, so that no record takes another way.
        let Some(queue) = self.consumer.split_partition_queue(&self.topic, partition) else {
            self.fail("librdkafka gave no queue for a partition");
            return None;
        };
        // An error of an earlier reading stays in the queue (librdkafka gives it no version), and nothing else can be there.
        while queue.recv().now_or_never().is_some() {}
        self.epochs.begin(partition, at, epoch);
        let mut list = list(&self.topic, [(partition, at)]);
        epoch::set(&mut list, [epoch]);
        let begun = self.consumer.incremental_assign(&list);
        if !self.check("beginning to read", begun) {
            return None;
        }
        if epoch.is_some() && !self.is_compared(&list).await {
            tracing::info!(partition, at, "reading cannot begin yet");
            self.give_up(&[partition]);
            return None;
        }
        Some(queue)
    }

    /// Has librdkafka compare the list's epochs with the broker's log, which it does at a seek, not at an assignment. Nothing
    /// that was fetched before comes out of the queue after it.
    async fn is_compared(&self, list: &TopicPartitionList) -> bool {
        for attempt in 0..SEEKS_MAX {
            // The assignment is carried out by a thread of librdkafka's, a moment after it was taken; before that a seek is
            // refused at once.
            self.serve_while(tokio::time::sleep(SEEK_PAUSE * attempt)).await;
            let sought = self.consumer.seek_partitions(list.clone(), SEEK_LIMIT);
            if sought.is_ok_and(|list| list.elements().iter().all(|element| element.error().is_ok())) {
                return true;
            }
        }
        false
    }

    /// Stops fetching these, which were all read. A revocation must be answered even with none.
    pub(super) fn give_up(&self, partitions: &[i32]) {
        let list = list(&self.topic, partitions.iter().map(|p| (*p, -1)));
        self.check("giving partitions up", self.consumer.incremental_unassign(&list));
    }

    /// Asks for a commit; [`Committed`](super::committer::Committed) answers. `false` if it is not even tried.
    pub(super) fn commit(&self, offsets: Offsets) -> bool {
        // An offset of the old topic says nothing about the new one.
        !self.incarnation.is_mixed() && self.committer.commit(offsets)
    }

    /// Serves callbacks for ever. Dropping it loses nothing.
    pub(super) async fn serve(&self) -> Infallible {
        loop {
            match self.consumer.recv().await {
                Ok(record) => {
                    // Records have queues of their own.
                    let (partition, offset) = (record.partition(), record.offset());
                    self.fail(format!("a record of partition {partition} at {offset} left its queue"));
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => self.fail(code.to_string()),
                Err(error) => crate::kafka::log_event(&error, "consumer"),
            }
        }
    }

    /// Serves callbacks while something else is awaited.
    pub(super) async fn serve_while<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.serve() => match never {},
        }
    }

    /// Leaves the group. That blocks, so it has a thread of its own, which holds nobody up beyond the deadline.
    pub(super) async fn close(self, deadline: Instant) {
        let (closed, wait) = tokio::sync::oneshot::channel();
        let (committer, consumer) = (self.committer, self.consumer);
        let thread = std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || {
            committer.end();
            drop(consumer);
            let _ = closed.send(());
        });
        if thread.is_err() || tokio::time::timeout_at(deadline, wait).await.is_err() {
            tracing::warn!("the Kafka client did not close in time");
        }
    }

    fn check(&self, what: &'static str, result: Result<(), KafkaError>) -> bool {
        if let Err(error) = &result {
            self.fail(format!("{what}: {error}"));
        }
        result.is_ok()
    }
}
