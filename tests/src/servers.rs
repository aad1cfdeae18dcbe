//! The real servers of a run: one Kafka and one MongoDB for all tests, and one Kafka more that tests may stop and freeze,
//! one test at a time. They are started when first asked for.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard, OnceCell};
use wiber_servers::kafka::{self, Kafka};
use wiber_servers::mongo::{self, Mongo};
use wiber_servers::progress::Progress;
use wiber_servers::tools;

use crate::run;

/// The servers that all tests share; none may disturb them.
#[derive(Debug)]
pub struct Servers {
    /// Kafka's `host:port`.
    pub kafka: String,
    /// MongoDB's address.
    pub mongo: SocketAddr,
    processes: (Kafka, Mongo),
}

impl Servers {
    /// The process ids of Kafka and MongoDB.
    #[must_use]
    pub fn pids(&self) -> (u32, u32) {
        (self.processes.0.pid(), self.processes.1.pid())
    }
}

/// MongoDB's cache where it holds millions of documents, in gigabytes. Its own default would be half of the machine's memory.
const LASTING_CACHE_GB: f32 = 2.0;

static SHARED: OnceCell<Result<Servers, String>> = OnceCell::const_new();
static LASTING: AtomicBool = AtomicBool::new(false);
static DISTURBABLE: Mutex<Option<Kafka>> = Mutex::const_new(None);

/// The shared servers.
///
/// # Panics
/// If they cannot be started, for every test that asks.
pub async fn shared() -> &'static Servers {
    let servers = SHARED.get_or_init(async || start().await.map_err(|error| error.to_string())).await;
    servers.as_ref().unwrap_or_else(|error| panic!("the servers did not start: {error}"))
}

/// A running Kafka to stop, kill and freeze; nobody else has it meanwhile.
///
/// # Panics
/// If it cannot be started.
pub async fn disturbable_kafka() -> MappedMutexGuard<'static, Kafka> {
    let mut slot = DISTURBABLE.lock().await;
    match slot.as_ref() {
        None => {
            let tools = tools::kafka(&tools::default_cache(), &Progress::new()).await.expect("Kafka can be got");
            let mut options = kafka::Options::new(run::subfolder("disturbable-kafka"));
            // Short, so that a freeze soon costs the broker its session and every partition its leader.
            let short = [("broker.session.timeout.ms", "1000"), ("broker.heartbeat.interval.ms", "400")];
            options.properties = short.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            *slot = Some(kafka::start(&tools, options).await.expect("Kafka starts"));
        }
        // A failed test may have left it in any state.
        Some(kafka) if kafka.process().status().is_some() => kafka.start().await.expect("Kafka starts again"),
        Some(kafka) => kafka.resume().expect("it runs"),
    }
    MutexGuard::map(slot, |slot| slot.as_mut().expect("it was just started"))
}

/// Kills the servers; dropping statics is nobody's task otherwise.
pub async fn stop_all() {
    if let Some(Ok(servers)) = SHARED.get() {
        tokio::join!(servers.processes.0.kill(), servers.processes.1.kill());
    }
    if let Some(kafka) = DISTURBABLE.lock().await.as_ref() {
        kafka.kill().await;
    }
}

/// Has the shared servers started as those that run for long and hold much. Only before they are used first.
pub fn will_last() {
    LASTING.store(true, Ordering::Relaxed);
}

async fn start() -> Result<Servers, wiber_servers::Error> {
    let tools = tools::ensure(&tools::default_cache(), &Progress::new()).await?;
    let is_lasting = LASTING.load(Ordering::Relaxed);
    let for_kafka = kafka::Options { is_lasting, ..kafka::Options::new(run::subfolder("kafka")) };
    let mut for_mongo = mongo::Options::new(run::subfolder("mongo"));
    if is_lasting {
        for_mongo.cache_gb = LASTING_CACHE_GB;
    }
    let (kafka, mongo) =
        tokio::try_join!(kafka::start(&tools.kafka, for_kafka), mongo::start(&tools.mongo, for_mongo))?;
    Ok(Servers {
        kafka: kafka.bootstrap_servers(),
        mongo: SocketAddr::from(([127, 0, 0, 1], mongo.port())),
        processes: (kafka, mongo),
    })
}
