//! Who reads what: the assignments of a group's members, as the coordinator keeps them.
//!
//! Asked through librdkafka's older call: its DescribeConsumerGroups can end the process while Kafka is away (an assertion
//! in `rd_kafka_enq_once_del_source_return`).

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

/// A group that is not about to give out its partitions anew (Kafka's protocol, DescribeGroups).
const SETTLED: &str = "Stable";

/// The partitions of `topic` that each member of a group was given; `None` while the group has not settled. Blocks up to
/// `timeout`, so it belongs on a blocking thread.
///
/// # Errors
/// If the cluster does not answer in time, or refuses.
pub(super) fn shares<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    group: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Vec<Vec<i32>>>, KafkaError> {
    let list = client.fetch_group_list(Some(group), timeout)?;
    let found = list.groups().iter().find(|found| found.name() == group && found.state() == SETTLED);
    // An assignment that nobody can read says nothing about what is given to whom.
    Ok(found.and_then(|group| {
        group.members().iter().map(|member| assigned(member.assignment().unwrap_or_default(), topic)).collect()
    }))
}

/// The partitions of a topic in an assignment, which Kafka's clients share as `ConsumerProtocolAssignment`: a version, and
/// of each topic its name and partitions. A member that has nothing yet has no bytes.
fn assigned(assignment: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut partitions = Vec::new();
    if assignment.is_empty() {
        return Some(partitions);
    }
    let mut rest = assignment;
    let _version = i16::from_be_bytes(take(&mut rest)?);
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            let partition = i32::from_be_bytes(take(&mut rest)?);
            if name == topic.as_bytes() {
                partitions.push(partition);
            }
        }
    }
    Some(partitions)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 0, the topics `a` with 1 and 2 and `bc` with 3, no user data.
    const ASSIGNMENT: &[u8] =
        b"\0\0\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\x02bc\0\0\0\x01\0\0\0\x03\xff\xff\xff\xff";

    #[test]
    fn the_topics_own_partitions_are_read() {
        assert_eq!(assigned(ASSIGNMENT, "a"), Some(vec![1, 2]));
        assert_eq!(assigned(ASSIGNMENT, "bc"), Some(vec![3]));
        assert_eq!(assigned(ASSIGNMENT, "b"), Some(vec![]));
        assert_eq!(assigned(b"", "a"), Some(vec![]));
    }

    #[test]
    fn what_is_cut_off_is_no_assignment() {
        let end = ASSIGNMENT.len() - 4;
        assert!(assigned(&ASSIGNMENT[..end], "a").is_some());
        for length in 1..end {
            assert_eq!(assigned(&ASSIGNMENT[..length], "a"), None, "{length}");
        }
    }
}
