//! Leader epochs, which rdkafka does not pass on. A broker counts one up whenever a partition gets a leader, and knows where
//! each began. So an offset that comes with its record's epoch lets Kafka's client find out whether the log was cut below
//! it, even where the log has grown again since (KIP-320).

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{
    rd_kafka_message_leader_epoch, rd_kafka_topic_partition_get_leader_epoch,
    rd_kafka_topic_partition_set_leader_epoch, rd_kafka_topic_partition_t,
};
use rdkafka::message::BorrowedMessage;

/// The epoch in which a record was appended, if the broker told it.
#[allow(unsafe_code)]
pub(crate) fn of_record(record: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message lives as long as it is borrowed, and is only read from.
    known(unsafe { rd_kafka_message_leader_epoch(record.ptr()) })
}

/// The epochs of a list's elements, in their order.
#[allow(unsafe_code)]
pub(crate) fn of_list(list: &TopicPartitionList) -> Vec<Option<i32>> {
    // SAFETY: the elements live as long as their list, and are only read from.
    elements(list).map(|element| known(unsafe { rd_kafka_topic_partition_get_leader_epoch(element) })).collect()
}

/// Gives the elements of a list their epochs, in their order.
#[allow(unsafe_code)]
pub(crate) fn set(list: &mut TopicPartitionList, epochs: impl IntoIterator<Item = Option<i32>>) {
    for (element, epoch) in elements(list).zip(epochs) {
        if let Some(epoch) = epoch {
            // SAFETY: the elements live as long as their list, which nobody else uses meanwhile.
            unsafe { rd_kafka_topic_partition_set_leader_epoch(element, epoch) };
        }
    }
}

fn known(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

#[allow(unsafe_code)]
fn elements(list: &TopicPartitionList) -> impl Iterator<Item = *mut rd_kafka_topic_partition_t> {
    // SAFETY: the list is alive, and librdkafka keeps `cnt` elements at `elems`.
    let (first, count) = unsafe { ((*list.ptr()).elems, (*list.ptr()).cnt) };
    // SAFETY: below `cnt`.
    (0..usize::try_from(count).unwrap_or(0)).map(move |index| unsafe { first.add(index) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_the_epochs_that_it_is_given() {
        let mut list = TopicPartitionList::new();
        list.add_partition_range("t", 0, 2);
        assert_eq!(of_list(&list), [None; 3]);
        set(&mut list, [Some(5), None, Some(0)]);
        assert_eq!(of_list(&list), [Some(5), None, Some(0)]);
    }
}
