//! Who reads what, by librdkafka's DescribeConsumerGroups.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaAdminOp;

use super::native::{Owned, ask, check};

/// The partitions of `topic` that each member of a group was given; `None` while the group has not settled. Blocks up to
/// `timeout`, so it belongs on a blocking thread.
///
/// # Errors
/// If the cluster does not answer in time, or refuses.
#[allow(unsafe_code)]
pub(super) fn shares<C: rdkafka::ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Vec<Vec<i32>>>, KafkaError> {
    let (group, topic) = (CString::new(group)?, CString::new(topic)?);
    let describe = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let event = ask(client, describe, timeout, |rk, options, queue| {
        let mut groups = [group.as_ptr()];
        // SAFETY: the request copies the names.
        unsafe { sys::rd_kafka_DescribeConsumerGroups(rk, groups.as_mut_ptr(), groups.len(), options, queue) };
        Ok(())
    })?;
    read(&event, &topic)
}

#[allow(unsafe_code)]
fn read(event: &Owned<sys::rd_kafka_event_t>, topic: &CStr) -> Result<Option<Vec<Vec<i32>>>, KafkaError> {
    // SAFETY: the event is alive, and everything read here is owned by it; each array is as long as its count says.
    unsafe {
        check(sys::rd_kafka_event_error(event.0))?;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.0);
        let mut count = 0;
        let groups = if result.is_null() {
            ptr::null_mut()
        } else {
            sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count)
        };
        if groups.is_null() || count != 1 {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
        }
        let group = *groups;
        check(sys::rd_kafka_error_code(sys::rd_kafka_ConsumerGroupDescription_error(group)))?;
        let settled = sys::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE;
        if sys::rd_kafka_ConsumerGroupDescription_state(group) != settled {
            return Ok(None);
        }
        let members = 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        let share = |index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, index);
            let list = sys::rd_kafka_MemberAssignment_partitions(sys::rd_kafka_MemberDescription_assignment(member));
            if list.is_null() || (*list).cnt <= 0 {
                return Vec::new();
            }
            let elements = std::slice::from_raw_parts((*list).elems, usize::try_from((*list).cnt).unwrap_or_default());
            elements.iter().filter(|e| CStr::from_ptr(e.topic) == topic).map(|e| e.partition).collect()
        };
        Ok(Some(members.map(share).collect()))
    }
}
