//! The identities that a request carries through every hop.

use wiber_model::trace::{is_request_id, is_traceparent, new_traceparent};

use crate::Head;
use crate::answer::REQUEST_ID;

/// Time and randomness, passed in.
pub trait Entropy {
    /// The wall clock, Unix milliseconds.
    fn now_ms(&self) -> i64;
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// A request's identities: the caller's where they are well formed, else new ones.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) traceparent: String,
}

impl Context {
    pub(crate) fn of(head: &Head, entropy: &impl Entropy) -> Self {
        let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
        let request_id = header(REQUEST_ID.as_str()).filter(|id| is_request_id(id)).map(str::to_owned);
        let traceparent = header("traceparent").filter(|t| is_traceparent(t)).map(str::to_owned);
        Self {
            request_id: request_id.unwrap_or_else(|| format!("{:032x}", entropy.random())),
            traceparent: traceparent.unwrap_or_else(|| {
                let bits = entropy.random();
                new_traceparent(bits, u64::try_from(entropy.random() >> 64).unwrap_or(1))
            }),
        }
    }
}
