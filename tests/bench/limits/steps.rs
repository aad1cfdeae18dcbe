//! What a message cannot do without on its way, one step at a time: a flush, a record acknowledged by Kafka, a document
//! written by MongoDB.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::MissedTickBehavior;
use wiber_tests::stack::Stack;
use wiber_tests::{kafka, names};

use super::disk;
use crate::figure::median;

/// How often each is done, and how often before it counts.
const TIMES: u32 = 40;
const WARM_UP: u32 = 5;
/// As often as the messages that they are compared with come: a machine that rested in between is slower.
pub(crate) const EVERY: Duration = Duration::from_millis(100);
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Medians, milliseconds.
pub(crate) struct Steps {
    pub(crate) disk: f64,
    pub(crate) kafka: f64,
    pub(crate) mongo: f64,
}

impl Steps {
    pub(crate) fn each(&self) -> [f64; 3] {
        [self.disk, self.kafka, self.mongo]
    }

    /// One after the other.
    pub(crate) fn sum(&self) -> f64 {
        self.each().iter().sum()
    }
}

/// Measures each alone, at the pace of [`EVERY`], on a deployment that does nothing meanwhile.
///
/// # Errors
/// If one of them fails.
pub(crate) async fn of(stack: &Stack) -> anyhow::Result<Steps> {
    let file = disk::Pages::create(stack.folder())?;
    let disk = timed(async || Ok(file.sync_one()?)).await?;
    drop(file);
    let topic = names::unique("bench-step");
    kafka::create(&stack.kafka, &topic, 1).await;
    let mut config = ClientConfig::new();
    // Those of the relay's settings that one record at a time depends on.
    config.set("bootstrap.servers", &stack.kafka).set("acks", "all").set("enable.idempotence", "true");
    config.set("linger.ms", "0");
    let producer: FutureProducer = config.create().context("making a producer")?;
    let payload = "x".repeat(100);
    let kafka = timed(async || {
        let record = FutureRecord::<(), _>::to(&topic).payload(&payload);
        let sent = producer.send(record, TIME_LIMIT).await;
        sent.map(drop).map_err(|(error, _)| error).context("Kafka did not take a record")
    })
    .await?;
    kafka::delete(&stack.kafka, &topic).await;
    let collection = stack.store.database().collection::<Document>("step");
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let mongo = timed(async || {
        let document = doc! { "content": &payload };
        collection.insert_one(document).write_concern(durable.clone()).await?;
        Ok(())
    })
    .await?;
    collection.drop().await?;
    Ok(Steps { disk, kafka, mongo })
}

/// The median of doing something again and again, milliseconds.
async fn timed(step: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let (mut took, mut clock) = (Vec::new(), tokio::time::interval(EVERY));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for time in 0..WARM_UP + TIMES {
        clock.tick().await;
        let began = Instant::now();
        step().await?;
        if time >= WARM_UP {
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(median(&took))
}
