//! The id and partitions of a topic, by librdkafka's DescribeTopics.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaAdminOp;

use super::native::{Owned, ask, check, refused};

/// Brokers older than topic ids answer this.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The id that the topic got at its creation, base64; a topic of the same name created later has another. `None` on
    /// brokers that have no ids.
    pub id: Option<String>,
    /// Partitions.
    pub partitions: usize,
    /// Copies of the partition that has the fewest.
    pub replicas_min: usize,
}

/// Describes a topic; `None` if there is none of that name. Blocks up to `timeout`, so it belongs on a blocking thread.
///
/// # Errors
/// If the cluster does not answer in time, or refuses.
#[allow(unsafe_code)]
pub(super) fn describe<C: rdkafka::ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Description>, KafkaError> {
    let name = CString::new(topic)?;
    let describe = RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let event = ask(client, describe, timeout, |rk, options, queue| {
        let mut names = [name.as_ptr()];
        // SAFETY: the name outlives the collection, which copies it; the request keeps nothing of the collection.
        unsafe {
            let topics = Owned::new(
                sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
                sys::rd_kafka_TopicCollection_destroy,
            );
            let topics = topics.ok_or_else(refused)?;
            sys::rd_kafka_DescribeTopics(rk, topics.0, options, queue);
        }
        Ok(())
    })?;
    read(&event)
}

#[allow(unsafe_code)]
fn read(event: &Owned<sys::rd_kafka_event_t>) -> Result<Option<Description>, KafkaError> {
    // SAFETY: the event is alive, and everything read here is owned by it; each array is as long as its count says.
    unsafe {
        check(sys::rd_kafka_event_error(event.0))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0);
        let mut count = 0;
        let topics = if result.is_null() {
            ptr::null_mut()
        } else {
            sys::rd_kafka_DescribeTopics_result_topics(result, &mut count)
        };
        if topics.is_null() || count != 1 {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
        }
        let topic = *topics;
        match check(sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic))) {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {
                return Ok(None);
            }
            other => other?,
        }
        let id = sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic));
        let id = (!id.is_null()).then(|| CStr::from_ptr(id).to_string_lossy().into_owned()).filter(|id| id != NO_ID);
        let mut partitions = 0;
        let infos = sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let replicas = (0..partitions).map(|i| {
            let mut replicas = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(*infos.add(i), &mut replicas);
            replicas
        });
        let replicas_min = replicas.min().unwrap_or(0);
        Ok(Some(Description { id, partitions, replicas_min }))
    }
}
