//! Commits and their answers. rust-rdkafka 0.39 loses the answer to an asynchronous commit (it takes events, but
//! librdkafka posts one only where a callback is registered), so a thread makes synchronous ones.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::UnboundedSender;

use super::epochs::Epochs;
use super::rebalance::Context;
use crate::kafka::epoch;

/// Partitions and offsets.
pub(super) type Offsets = Vec<(i32, i64)>;

/// The answer to a commit.
#[derive(Debug)]
pub(super) struct Committed {
    /// What was to be committed.
    pub(super) offsets: Offsets,
    /// Whether the group's coordinator took it.
    pub(super) result: Result<(), KafkaError>,
}

/// Makes one commit at a time, in order. Its thread ends when it is dropped and the commit under way is answered.
pub(super) struct Committer {
    requests: Sender<Offsets>,
    thread: JoinHandle<()>,
}

impl Committer {
    pub(super) fn start(
        consumer: Arc<StreamConsumer<Context>>,
        topic: Arc<str>,
        epochs: Arc<Epochs>,
        answers: UnboundedSender<Committed>,
    ) -> std::io::Result<Self> {
        let (requests, offsets) = channel();
        let thread = std::thread::Builder::new()
            .name("kafka-commits".to_owned())
            .spawn(move || commit_all(&consumer, &topic, &epochs, &offsets, &answers))?;
        Ok(Self { requests, thread })
    }

    /// Asks for a commit; `false` if the thread has ended.
    pub(super) fn commit(&self, offsets: Offsets) -> bool {
        self.requests.send(offsets).is_ok()
    }

    /// Waits until the commit under way is answered.
    pub(super) fn end(self) {
        drop(self.requests);
        // A panic there has been reported by its missing answers.
        let _ = self.thread.join();
    }
}

fn commit_all(
    consumer: &StreamConsumer<Context>,
    topic: &str,
    epochs: &Epochs,
    requests: &Receiver<Offsets>,
    answers: &UnboundedSender<Committed>,
) {
    for offsets in requests {
        let mut list = list(topic, offsets.iter().copied());
        epoch::set(&mut list, offsets.iter().map(|(partition, offset)| epochs.below(*partition, *offset)));
        let result = consumer.commit(&list, CommitMode::Sync);
        if answers.send(Committed { offsets, result }).is_err() {
            return;
        }
    }
}

/// librdkafka's form of partitions and offsets; a negative offset stands for none.
pub(super) fn list(topic: &str, offsets: impl IntoIterator<Item = (i32, i64)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let mut element = list.add_partition(topic, partition);
        if offset >= 0 {
            // Offsets that are not negative are always taken.
            let _ = element.set_offset(Offset::Offset(offset));
        }
    }
    list
}
