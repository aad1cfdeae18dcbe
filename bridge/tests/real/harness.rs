//! The servers of a run, and what each test has for itself: a topic, a group, a database.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiber_bridge::config::{self, Secret};
use wiber_bridge::consumer::{self, Parts};
use wiber_bridge::kafka::{Inspector, client_config, ensure_ready};
use wiber_bridge::status::Board;
use wiber_bridge::store::{Page, Store};
use wiber_bridge::telemetry::{Metrics, start_logging};
use wiber_model::query::{ConversationParams, Order};
use wiber_model::record::{TYPE, header, source};
use wiber_model::{Message, NewMessage, StoredMessage};
use wiber_servers::progress::Progress;
use wiber_servers::{kafka, mongo, tools};

/// The one outbox whose messages the tests produce.
pub(crate) const OUTBOX_ID: &str = "0123456789abcdef";
/// Its address, as gaps name it.
pub(crate) const OUTBOX_URL: &str = "http://127.0.0.1:1/";
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Servers {
    pub(crate) tools: tools::Tools,
    pub(crate) kafka: kafka::Kafka,
    pub(crate) mongo: mongo::Mongo,
    _folder: tempfile::TempDir,
}

static SERVERS: OnceCell<Servers> = OnceCell::const_new();
static NAMES: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn servers() -> &'static Servers {
    SERVERS
        .get_or_init(async || {
            // `RUST_LOG=wiber_bridge=debug` shows what the bridge says.
            let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned());
            start_logging(&config::Log { filter, format: config::LogFormat::Text });
            let tools = tools::ensure(&tools::default_cache(), &Progress::new()).await.unwrap();
            let folder = tempfile::tempdir().unwrap();
            let mut kafka_options = kafka::Options::new(folder.path().join("kafka"));
            kafka_options.properties = vec![("group.min.session.timeout.ms".into(), "1000".into())];
            let (kafka, mongo) = tokio::try_join!(
                kafka::start(&tools.kafka, kafka_options),
                mongo::start(&tools.mongo, mongo::Options::new(folder.path().join("mongo"))),
            )
            .unwrap();
            Servers { tools, kafka, mongo, _folder: folder }
        })
        .await
}

/// One test's own names, and clients for them.
pub(crate) struct Site {
    pub(crate) kafka: config::Kafka,
    pub(crate) store: Store,
    pub(crate) inspector: Inspector,
    pub(crate) board: Board,
    pub(crate) metrics: Metrics,
    producer: FutureProducer,
}

/// A consumer that runs.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), consumer::Error>>,
}

impl Running {
    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("it ends in time").expect("it does not panic").expect("it ends well");
    }

    /// Drops it in the middle of whatever it does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()));
    }
}

/// A store in a database of its own.
pub(crate) async fn store(name: &str) -> Store {
    store_at(name, servers().await.mongo.uri(), Duration::from_secs(5)).await
}

/// The same without its indexes.
pub(crate) async fn unprepared(name: &str) -> Store {
    unprepared_at(name, servers().await.mongo.uri(), Duration::from_secs(5)).await
}

async fn store_at(name: &str, uri: String, write_timeout: Duration) -> Store {
    let store = unprepared_at(name, uri, write_timeout).await;
    store.prepare().await.unwrap();
    store
}

async fn unprepared_at(name: &str, uri: String, write_timeout: Duration) -> Store {
    let unique = format!("{name}_{}_{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
    let mongo = config::Mongo { uri: Secret::new(uri), database: unique, collection: "messages".into(), write_timeout };
    Store::new(&mongo).await.unwrap()
}

pub(crate) async fn site(name: &str) -> Site {
    site_of(name, store(name).await).await
}

/// A site whose MongoDB client goes by its name, so that a fail point can be for it alone, and does not wait long.
pub(crate) async fn site_with_app(name: &str) -> Site {
    let uri = format!("{}&appName={name}", servers().await.mongo.uri());
    site_of(name, store_at(name, uri, Duration::from_millis(500)).await).await
}

async fn site_of(name: &str, store: Store) -> Site {
    let unique = format!("{name}.{}.{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
    let kafka = config::Kafka {
        bootstrap_servers: servers().await.kafka.bootstrap_servers(),
        topic: unique.clone(),
        consumer_group: unique,
        properties: BTreeMap::new(),
        replication_factor: 1,
        min_insync_replicas: 1,
        retention_ms: -1,
        retention_bytes: -1,
        session_timeout_ms: 6_000,
    };
    let inspector = Inspector::new(&kafka).unwrap();
    let (board, metrics) = (Board::new(), Metrics::new().unwrap());
    assert!(ensure_ready(&inspector, &board, &metrics, &CancellationToken::new()).await.unwrap());
    let producer = client_config(&kafka).set("acks", "all").set("linger.ms", "0").create().unwrap();
    Site { kafka, store, inspector, board, metrics, producer }
}

impl Site {
    pub(crate) fn consume(&self) -> Running {
        self.consume_as(None)
    }

    /// As a static member, where it has a name.
    pub(crate) fn consume_as(&self, instance_id: Option<&str>) -> Running {
        let stop = CancellationToken::new();
        let parts = Parts {
            kafka: self.kafka.clone(),
            instance_id: instance_id.map(str::to_owned),
            outbox_urls: vec![OUTBOX_URL.parse().unwrap()],
            inspector: self.inspector.clone(),
            store: self.store.clone(),
            board: self.board.clone(),
            metrics: self.metrics.clone(),
            drain_limit: Duration::from_secs(5),
            close_limit: Duration::from_secs(3),
        };
        Running { task: tokio::spawn(consumer::run(parts, stop.clone())), stop }
    }

    /// Produces a message as the relay does; returns its partition and offset.
    pub(crate) async fn produce(&self, message: &Message, position: i64) -> (i32, i64) {
        let value = serde_json::to_string(message).unwrap();
        let key = message.conversation();
        let position = position.to_string();
        let headers = [
            (header::ID, message.message_id.as_str()),
            (header::TYPE, TYPE),
            (header::SOURCE, &source(OUTBOX_ID)),
            (header::SEQUENCE, &position),
        ];
        self.produce_raw(Some(key.as_str()), Some(&value), &headers).await
    }

    pub(crate) async fn produce_raw(
        &self,
        key: Option<&str>,
        value: Option<&str>,
        headers: &[(&str, &str)],
    ) -> (i32, i64) {
        let mut owned = OwnedHeaders::new();
        for (key, value) in headers {
            owned = owned.insert(Header { key, value: Some(*value) });
        }
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(&self.kafka.topic).headers(owned);
        record.key = key;
        record.payload = value;
        let delivery = self.producer.send(record, Timeout::After(DEADLINE)).await.unwrap();
        (delivery.partition, delivery.offset)
    }

    /// The conversation of two users once it has `count` messages.
    pub(crate) async fn conversation(&self, one: &str, other: &str, count: usize) -> Vec<StoredMessage> {
        until("the conversation", async || {
            let stored = read_all(&self.store, one, other).await;
            if stored.len() == count {
                Ok(stored)
            } else {
                Err(format!("{} of {count}: {:?}", stored.len(), self.board.notes()))
            }
        })
        .await
    }

    pub(crate) async fn note(&self, part: &str) -> String {
        until("a note", async || {
            let notes = self.board.notes();
            notes.iter().find(|n| n.contains(part)).cloned().ok_or_else(|| format!("{notes:?}"))
        })
        .await
    }
}

/// Every message of a conversation, page by page.
pub(crate) async fn read_all(store: &Store, one: &str, other: &str) -> Vec<StoredMessage> {
    let mut messages: Vec<StoredMessage> = Vec::new();
    loop {
        let params = ConversationParams {
            user1: one.into(),
            user2: other.into(),
            limit: 500,
            after: Some(messages.last().map_or(0, |m| m.seq)),
            before: None,
            order: Order::Asc,
        };
        let page = store.conversation(&params).await.unwrap();
        messages.extend(shown(&page));
        if page.next.is_none() {
            return messages;
        }
    }
}

/// The messages of a page.
pub(crate) fn shown(page: &Page) -> Vec<StoredMessage> {
    serde_json::from_slice(&page.json).expect("a page is JSON")
}

/// Checks that these are the stored messages, in this order, with places from 1.
pub(crate) fn check_order(stored: &[StoredMessage], expected: &[Message]) {
    let ids: Vec<&str> = stored.iter().map(|m| m.message.message_id.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|m| m.message_id.as_str()).collect();
    assert_eq!(ids, wanted);
    let places: Vec<i64> = stored.iter().map(|m| m.seq).collect();
    assert_eq!(places, (1..=i64::try_from(expected.len()).unwrap()).collect::<Vec<_>>());
}

/// A message with an id of its own.
pub(crate) fn message(from: &str, to: &str, content: &str) -> Message {
    let new = NewMessage { from_user: from.into(), to_user: to.into(), content: content.into() };
    let millis = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Message::accept(new, i64::try_from(millis).unwrap(), rand::random())
}

pub(crate) fn messages(from: &str, to: &str, count: usize) -> Vec<Message> {
    (0..count).map(|n| message(from, to, &format!("message {n}"))).collect()
}

/// Asks until it is so.
pub(crate) async fn until<T, E: Display>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(seen) => assert!(started.elapsed() < DEADLINE, "waited for {what}; last seen: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
