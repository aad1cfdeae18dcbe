//! The bridge as a program: its settings, all by environment.

use std::path::{Path, PathBuf};

use wiber_servers::process::Spec;

use crate::binaries;

/// What a bridge is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Another program than the one under test.
    pub program: Option<PathBuf>,
    /// Kafka's `host:port`.
    pub kafka: String,
    /// The topic.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// MongoDB's URI.
    pub mongo_uri: String,
    /// The database.
    pub database: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The outbox to drain.
    pub outbox_url: String,
    /// Token of the outbox.
    pub outbox_token: String,
    /// Token of the query API.
    pub query_token: String,
    /// Further variables.
    pub more: Vec<(String, String)>,
}

/// How it is started; its log goes into `folder`.
#[must_use]
pub fn spec(name: &str, settings: &Settings, folder: &Path) -> Spec {
    let program = settings.program.clone().unwrap_or_else(|| binaries::program("wiber-bridge"));
    let spec = Spec::new(name, program, folder.join(name).with_extension("log"))
        .dir(folder)
        .env("KAFKA_BOOTSTRAP_SERVERS", &settings.kafka)
        .env("KAFKA_TOPIC", &settings.topic)
        .env("KAFKA_CONSUMER_GROUP", &settings.group)
        .env("MONGO_URI", &settings.mongo_uri)
        .env("MONGO_DB", &settings.database)
        .env("WIBER_LISTEN", format!("127.0.0.1:{}", settings.port))
        .env("WIBER_OUTBOX_URLS", &settings.outbox_url)
        .env("WIBER_OUTBOX_TOKEN", &settings.outbox_token)
        .env("WIBER_QUERY_TOKEN", &settings.query_token);
    settings.more.iter().fold(spec, |spec, (name, value)| spec.env(name, value))
}
