//! A producer whose reports are handed on by a thread of its own.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, ProducerContext};

use super::Error;

/// How long the thread waits for reports before it looks whether it is to end. rust-rdkafka's own thread waits for exactly
/// 100 ms; since it counts what is left in whole milliseconds, it spends the last of them in a loop, which at rest is a
/// hundredth of a processor. A little more than whole milliseconds leaves nothing to loop through while no report comes.
const WAIT: Duration = Duration::from_micros(100_100);

/// Dropping it drops what the client still holds, each with its report; that takes up to 0.6 s.
pub struct PolledProducer<C: ProducerContext + 'static> {
    // Before the client, so that no other holder is left when that is dropped.
    thread: Polling,
    client: Arc<BaseProducer<C>>,
}

struct Polling {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> PolledProducer<C> {
    /// Makes the client and starts its thread.
    ///
    /// # Errors
    /// If librdkafka refuses the settings, or the system gives no thread.
    pub fn new(settings: &ClientConfig, context: C) -> Result<Self, Error> {
        let client: BaseProducer<C> = settings.create_with_context(context).map_err(Error::client)?;
        let (client, ends) = (Arc::new(client), Arc::<AtomicBool>::default());
        let (polled, stop) = (Arc::clone(&client), Arc::clone(&ends));
        let poll = move || {
            while !stop.load(Ordering::Relaxed) {
                polled.poll(WAIT);
            }
        };
        let thread =
            std::thread::Builder::new().name("kafka-producer".to_owned()).spawn(poll).map_err(Error::Thread)?;
        Ok(Self { thread: Polling { ends, thread: Some(thread) }, client })
    }
}

impl<C: ProducerContext> Deref for PolledProducer<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of a producer panicked");
        }
    }
}

impl<C: ProducerContext> std::fmt::Debug for PolledProducer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolledProducer").field("ends", &self.thread.ends).finish_non_exhaustive()
    }
}
