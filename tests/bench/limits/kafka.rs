//! librdkafka alone: how many records a second one idempotent producer gets acknowledged by all replicas.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use wiber_tests::kafka::Record;

/// How long the last records may take.
const FLUSH: Duration = Duration::from_secs(60);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// Sends copies of these records, in turn, until there are `count`, and returns how many a second were acknowledged.
///
/// # Errors
/// If Kafka does not take them.
pub(crate) async fn acknowledged(
    bootstrap: &str,
    topic: &str,
    records: Vec<Record>,
    count: u64,
) -> anyhow::Result<f64> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        // As the relay sets them.
        config.set("bootstrap.servers", &bootstrap).set("acks", "all").set("enable.idempotence", "true");
        config.set("linger.ms", "0").set("partitioner", "murmur2_random");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().context("making a producer")?;
        let began = Instant::now();
        for record in records.iter().cycle().take(usize::try_from(count)?) {
            send(&producer, &topic, record)?;
        }
        producer.flush(FLUSH).context("Kafka did not take all records")?;
        Ok(count as f64 / began.elapsed().as_secs_f64())
    })
    .await?
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, record: &Record) -> anyhow::Result<()> {
    let headers = record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |all, one| {
        all.insert(Header { key: one.0, value: Some(one.1) })
    });
    let mut out: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(headers);
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    loop {
        match producer.send(out) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                out = back;
                std::thread::sleep(QUEUE_FULL_PAUSE);
            }
            Err((error, _)) => return Err(error).context("Kafka did not take a record"),
        }
    }
}
