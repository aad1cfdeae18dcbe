//! What runs: Kafka and MongoDB unless they are one's own, host and bridge.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use wiber_servers::Error;
use wiber_servers::kafka::Kafka;
use wiber_servers::mongo::Mongo;
use wiber_servers::process::Process;
use wiber_servers::progress::Progress;

/// Longer than the deadline that host and bridge set themselves.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Servers of one's own.
pub(super) struct Own {
    pub(super) kafka: Option<String>,
    pub(super) mongo: Option<String>,
}

impl Own {
    pub(super) fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self { kafka: set("KAFKA_BOOTSTRAP_SERVERS"), mongo: set("MONGO_URI") }
    }
}

/// How clients reach Kafka and MongoDB.
pub(super) struct Addresses {
    pub(super) kafka: String,
    pub(super) mongo: String,
    /// Whether Kafka was started here, and no one else uses it.
    pub(super) kafka_is_ours: bool,
    /// Whether MongoDB was started here, and its connection string holds no password.
    pub(super) mongo_is_ours: bool,
}

impl Addresses {
    pub(super) fn new(own: &Own, kafka: Option<String>, mongo: Option<String>) -> Self {
        Self {
            kafka_is_ours: kafka.is_some(),
            mongo_is_ours: mongo.is_some(),
            kafka: kafka.or_else(|| own.kafka.clone()).unwrap_or_default(),
            mongo: mongo.or_else(|| own.mongo.clone()).unwrap_or_default(),
        }
    }
}

/// One of the things that run.
pub(super) enum Server {
    Kafka(Kafka),
    Mongo(Mongo),
    Program(Process),
}

impl Server {
    pub(super) fn process(&self) -> &Process {
        match self {
            Self::Kafka(kafka) => kafka.process(),
            Self::Mongo(mongo) => mongo.process(),
            Self::Program(process) => process,
        }
    }

    /// Starts it again after its end.
    pub(super) async fn start(&self) -> Result<(), Error> {
        match self {
            Self::Kafka(kafka) => kafka.start().await,
            Self::Mongo(mongo) => mongo.start().await,
            Self::Program(process) => process.start(),
        }
    }

    async fn stop(&self) {
        match self {
            Self::Kafka(kafka) => kafka.stop().await,
            Self::Mongo(mongo) => mongo.stop().await,
            Self::Program(process) => process.stop(STOP_MAX).await,
        };
    }
}

/// Everything that was started, in that order.
#[derive(Default)]
pub(super) struct Servers {
    started: Mutex<Vec<Arc<Server>>>,
}

impl Servers {
    pub(super) fn add(&self, server: Server) {
        self.lock().push(Arc::new(server));
    }

    pub(super) fn all(&self) -> Vec<Arc<Server>> {
        self.lock().clone()
    }

    /// Stops all in order: the bridge while everything that it flushes to is there, then the host, then what is behind.
    pub(super) async fn stop(&self, progress: &Progress) {
        let all = self.all();
        if all.is_empty() {
            return;
        }
        let (programs, behind): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|server| matches!(**server, Server::Program(_)));
        let task = progress.task("Stopping");
        for server in programs.iter().rev() {
            task.now(server.process().name());
            server.stop().await;
        }
        task.now("Kafka and MongoDB");
        let mut stops: JoinSet<()> = behind.into_iter().map(|server| async move { server.stop().await }).collect();
        // A panic in a stop leaves that server to the kernel, which kills it with this process.
        while stops.join_next().await.is_some() {}
        task.done("the data stays in .wiber");
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Server>>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
