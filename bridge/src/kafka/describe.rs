//! The id and partitions of a topic, by librdkafka's DescribeTopics, which rust-rdkafka does not wrap.
//!
//! Every pointer is owned by a guard that frees it, and none leaves the module.

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaAdminOp;

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

/// Frees what a librdkafka constructor made.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self(pointer, free))
    }
}

impl<T> Drop for Owned<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, came from the constructor that `free` belongs to, and is freed once.
        unsafe { (self.1)(self.0) }
    }
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
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let refused = || KafkaError::AdminOpCreation("librdkafka gave no object for DescribeTopics".to_owned());
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client`; the name outlives the collection, which copies it; the request keeps
    // nothing of its arguments but the queue, on which the answer is awaited below before the queue is freed.
    let event = unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy).ok_or_else(refused)?;
        let mut names = [name.as_ptr()];
        let topics = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
        .ok_or_else(refused)?;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(rk, RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            sys::rd_kafka_AdminOptions_destroy,
        )
        .ok_or_else(refused)?;
        sys::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(rk, topics.0, options.0, queue.0);
        // The request times out by itself first; the second more covers its delivery.
        let event = sys::rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(1_000));
        Owned::new(event, sys::rd_kafka_event_destroy)
            .ok_or(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))?
    };
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

fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::AdminOp(code)),
    }
}
