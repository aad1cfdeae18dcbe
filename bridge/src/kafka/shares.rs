//! Who reads what: the assignments of a group's members, as the coordinator keeps them.
//!
//! Asked through librdkafka's older call: its DescribeConsumerGroups can end the process while Kafka is away (an assertion
//! in `rd_kafka_enq_once_del_source_return`).

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A group that is not about to give out its partitions anew (Kafka's protocol, DescribeGroups).
const SETTLED: &CStr = c"Stable";

/// The groups of that name that the brokers know; freed when dropped.
struct Groups(*const sys::rd_kafka_group_list);

impl Drop for Groups {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the list came from librdkafka and is freed once.
        unsafe { sys::rd_kafka_group_list_destroy(self.0) }
    }
}

/// The partitions of `topic` that each member of a group was given; `None` while the group has not settled. Blocks up to
/// `timeout`, so it belongs on a blocking thread.
///
/// # Errors
/// If the cluster does not answer in time, or refuses.
pub(super) fn shares<C: rdkafka::ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Vec<Vec<i32>>>, KafkaError> {
    let name = CString::new(group)?;
    Ok(read(&list(client, &name, timeout)?, &name, topic))
}

/// rust-rdkafka has this call too, but takes what only some brokers have answered for an error, and never frees it. Yet the
/// group's coordinator alone knows the group.
#[allow(unsafe_code)]
fn list<C: rdkafka::ClientContext>(client: &Client<C>, group: &CStr, timeout: Duration) -> Result<Groups, KafkaError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut list = ptr::null();
    // SAFETY: the client and the name outlive the call, which keeps neither.
    let code = unsafe { sys::rd_kafka_list_groups(client.native_ptr(), group.as_ptr(), &raw mut list, timeout_ms) };
    if list.is_null() {
        return Err(KafkaError::GroupListFetch(RDKafkaErrorCode::from(code)));
    }
    Ok(Groups(list))
}

#[allow(unsafe_code)]
fn read(groups: &Groups, name: &CStr, topic: &str) -> Option<Vec<Vec<i32>>> {
    // SAFETY: the list is alive, and everything read here is owned by it; each array is as long as its count says, and its
    // strings end with NUL or are null.
    unsafe {
        let list = &*groups.0;
        let is = |text: *const c_char, wanted: &CStr| !text.is_null() && CStr::from_ptr(text) == wanted;
        let settled = |group: &&sys::rd_kafka_group_info| is(group.group, name) && is(group.state, SETTLED);
        let group = array(list.groups, list.group_cnt).iter().find(settled)?;
        let share = |member: &sys::rd_kafka_group_member_info| {
            assigned(array(member.member_assignment.cast(), member.member_assignment_size), topic)
        };
        // An assignment that nobody can read says nothing about what is given to whom.
        array(group.members, group.member_cnt).iter().map(share).collect()
    }
}

/// # Safety
/// There must be `count` values at `first`, unless that is null, for as long as the array is used.
#[allow(unsafe_code)]
unsafe fn array<'a, T>(first: *const T, count: i32) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: as the caller says.
        Ok(count) if !first.is_null() => unsafe { std::slice::from_raw_parts(first, count) },
        _ => &[],
    }
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
