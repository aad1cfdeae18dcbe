//! A deployment of a test's own: a host and bridges with their own topic, group, database and outbox, to be killed, paused
//! and cut off.

mod plan;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use wiber_model::outbox::{self, Statistics};

pub use plan::{Mongo, Plan};

use crate::client::Client;
use crate::kafka::{self, Record};
use crate::mongo::Store;
use crate::node::Node;
use crate::proxy::Proxy;
use crate::{run, wait};

/// How long an ordered shutdown may take (design §3.7).
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// A running deployment; dropping it kills its programs and, unless the test fails, removes its folder.
#[derive(Debug)]
pub struct Stack {
    /// The functions' host.
    pub host: Node,
    /// The bridges.
    pub bridges: Vec<Node>,
    /// Speaks to the functions.
    pub client: Client,
    /// From the host to a bridge, the first one to begin with.
    pub bridge_link: Proxy,
    /// From the bridges to the host's outbox.
    pub outbox_link: Proxy,
    /// From the bridges to MongoDB, unless the plan names a MongoDB.
    pub mongo_link: Proxy,
    /// The bridges' own addresses.
    pub bridge_addresses: Vec<SocketAddr>,
    /// Kafka's `host:port`.
    pub kafka: String,
    /// The topic.
    pub topic: String,
    /// MongoDB, past the proxy.
    pub store: Store,
    /// Token of the outbox.
    pub outbox_token: String,
    /// Token of the bridge's query API.
    pub query_token: String,
    folder: PathBuf,
}

impl Stack {
    /// The only bridge, or the first.
    #[must_use]
    pub fn bridge(&self) -> &Node {
        &self.bridges[0]
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until the host answers.
    pub async fn alive(&self) {
        wait::until_within(wait::START, "the host's liveness", async || {
            self.host.check_running()?;
            answers(&self.client, "/health/liveness", 200).await
        })
        .await;
    }

    /// Waits until a bridge answers.
    pub async fn bridge_alive(&self, index: usize) {
        let client = self.bridge_client(index);
        wait::until_within(wait::START, "the bridge's liveness", async || {
            self.bridges[index].check_running()?;
            answers(&client, "/health/liveness", 200).await
        })
        .await;
    }

    /// Waits until readiness is 200.
    pub async fn ready(&self) {
        self.readiness(200, |_| true).await;
    }

    /// Waits until readiness has this status and a body that `expected` accepts.
    pub async fn readiness(&self, status: u16, expected: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("readiness {status}"), async || {
            let call = self.client.call("GET", "/health/readiness");
            let answer = call.attempt().await.map_err(|error| error.to_string())?;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer.status == status && expected(&body) {
                Ok(body)
            } else {
                Err(format!("{answer}\nbridge: {}", self.bridges.iter().map(Node::log_tail).collect::<String>()))
            }
        })
        .await
    }

    /// Waits until readiness, ready or not, has a body that `expected` accepts.
    pub async fn readiness_of_any_status(&self, expected: impl Fn(&Value) -> bool) -> Value {
        wait::until("a state of readiness", async || {
            let answer = self.client.get("/health/readiness").await;
            let body = answer.json();
            if expected(&body) { Ok(body) } else { Err(answer.to_string()) }
        })
        .await
    }

    /// Kills the host and starts it again; returns once it answers.
    pub async fn restart_host(&self) {
        self.host.kill().await;
        self.host.start();
        self.alive().await;
    }

    /// Speaks to a bridge itself.
    #[must_use]
    pub fn bridge_client(&self, index: usize) -> Client {
        Client::other(&format!("http://{}", self.bridge_addresses[index]))
    }

    /// The outbox's depth, asked as the bridge asks it.
    ///
    /// # Panics
    /// If the host does not answer.
    pub async fn statistics(&self) -> Statistics {
        let call = self.client.call("GET", outbox::STATISTICS).bearer(&self.outbox_token);
        let answer = call.go().await.expect(200);
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error} in {answer}"))
    }

    /// The records of the topic.
    ///
    /// # Panics
    /// If Kafka does not answer.
    pub async fn records(&self) -> Vec<Record> {
        kafka::scan(&self.kafka, &self.topic).await.expect("Kafka answers")
    }

    /// The records of the dead-letter topic.
    ///
    /// # Panics
    /// If Kafka does not answer.
    pub async fn dead_records(&self) -> Vec<Record> {
        let topic = format!("{}{}", self.topic, wiber_model::record::DEAD_LETTER_SUFFIX);
        kafka::scan(&self.kafka, &topic).await.expect("Kafka answers")
    }

    /// Kills the programs.
    pub async fn stop(&self) {
        for node in self.bridges.iter().chain([&self.host]) {
            node.kill().await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for node in self.bridges.iter().chain([&self.host]) {
            node.discard();
        }
        if std::thread::panicking() {
            run::keep();
            eprintln!("the logs and the outbox of the failed test are in {}", self.folder.display());
        } else if !run::is_kept() {
            // What is left of it goes with the run's folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Whether a GET answers with this status.
async fn answers(client: &Client, path: &str, status: u16) -> Result<(), String> {
    let answer = client.call("GET", path).attempt().await.map_err(|error| error.to_string())?;
    if answer.status == status { Ok(()) } else { Err(answer.to_string()) }
}
