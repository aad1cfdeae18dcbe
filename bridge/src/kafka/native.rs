//! Questions that librdkafka can ask and rust-rdkafka does not wrap.
//!
//! Unsafe code is here and in the modules of the questions alone: every pointer is owned by a guard that frees it, and
//! none leaves them.

use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaAdminOp;

/// Frees what a librdkafka constructor made.
pub(super) struct Owned<T>(pub(super) *mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    pub(super) fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
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

/// Sends a request and waits for its answer. Blocks up to `timeout`, so it belongs on a blocking thread. The request may
/// keep nothing of its arguments but the queue.
///
/// # Errors
/// If librdkafka does not take the request, or nothing answers in time.
#[allow(unsafe_code)]
pub(super) fn ask<C: rdkafka::ClientContext>(
    client: &Client<C>,
    operation: RDKafkaAdminOp,
    timeout: Duration,
    request: impl FnOnce(
        *mut sys::rd_kafka_t,
        *const sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ) -> Result<(), KafkaError>,
) -> Result<Owned<sys::rd_kafka_event_t>, KafkaError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client`; the answer is awaited on the queue below before the queue is freed.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy).ok_or_else(refused)?;
        let options = sys::rd_kafka_AdminOptions_new(rk, operation);
        let options = Owned::new(options, sys::rd_kafka_AdminOptions_destroy).ok_or_else(refused)?;
        sys::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, ptr::null_mut(), 0);
        request(rk, options.0, queue.0)?;
        // The request times out by itself first; the second more covers its delivery.
        let event = sys::rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(1_000));
        Owned::new(event, sys::rd_kafka_event_destroy).ok_or(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))
    }
}

/// librdkafka gave no object.
pub(super) fn refused() -> KafkaError {
    KafkaError::AdminOpCreation("librdkafka gave no object for a question".to_owned())
}

pub(super) fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::AdminOp(code)),
    }
}
