//! Topics that must not be used as they are.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tokio_util::sync::CancellationToken;
use wiber_bridge::config;
use wiber_bridge::kafka::{Error, Inspector, ensure_ready};

use crate::harness::{Site, site};

async fn create(site: &Site, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &site.kafka.bootstrap_servers).create().unwrap();
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    for result in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
}

async fn ensure(site: &Site, topic: &str) -> Result<bool, Error> {
    let kafka = config::Kafka { topic: topic.to_owned(), ..site.kafka.clone() };
    let inspector = Inspector::new(&kafka).unwrap();
    ensure_ready(&inspector, &site.board, &site.metrics, &CancellationToken::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused_with_the_procedure() {
    let site = site("partitions").await;
    let name = format!("{}.three", site.kafka.topic);
    create(&site, &name, 3, &[]).await;
    let refusal = ensure(&site, &name).await.unwrap_err();
    assert!(matches!(refusal, Error::Partitions { found: 3, wanted: 12, .. }), "{refusal}");
    assert!(site.board.notes().iter().any(|n| n.contains("Procedure")), "{:?}", site.board.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_forgets_is_refused_with_the_procedure() {
    let site = site("forgets").await;
    let name = format!("{}.forgets", site.kafka.topic);
    create(&site, &name, 12, &[("retention.ms", "1000"), ("message.timestamp.type", "LogAppendTime")]).await;
    let refusal = ensure(&site, &name).await.unwrap_err().to_string();
    assert!(refusal.contains("--add-config"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_and_verified_again() {
    let site = site("created").await;
    let first = site.inspector.describe(&site.kafka.topic).await.unwrap().unwrap();
    assert!(ensure(&site, &site.kafka.topic).await.unwrap());
    assert_eq!(site.inspector.describe(&site.kafka.topic).await.unwrap().unwrap(), first);
    assert_eq!(first.partitions, 12);
    assert!(first.id.is_some());
    let dead_letters = site.inspector.describe(&site.inspector.dead_letter_topic()).await.unwrap().unwrap();
    assert_eq!(dead_letters.partitions, 12);
    assert_eq!(site.inspector.describe("no.such.topic").await.unwrap(), None);
}
