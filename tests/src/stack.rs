//! A deployment of a test's own: a host and bridges with their own topic, group, database and outbox, to be killed, paused
//! and cut off.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use wiber_model::outbox::{self, Statistics};

use crate::client::Client;
use crate::host::Host;
use crate::kafka::{self, Record};
use crate::mongo::{self, Store};
use crate::node::Node;
use crate::proxy::Proxy;
use crate::{bridge, host, manifest, names, ports, run, servers, wait};

/// How long an ordered shutdown may take (design §3.7).
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// What a test asks for.
#[derive(Debug, Clone)]
pub struct Plan {
    name: String,
    host: Host,
    bridges: usize,
    kafka: Option<String>,
    variables: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    manifest: Option<toml::Table>,
}

impl Plan {
    /// An embedded host and one bridge, on the servers that all tests share.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: names::unique(name),
            host: Host::Embedded,
            bridges: 1,
            kafka: None,
            variables: Vec::new(),
            settings: Vec::new(),
            manifest: None,
        }
    }

    /// The stack's name, which is also that of its topic, group and database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another host.
    #[must_use]
    pub fn host(self, host: Host) -> Self {
        Self { host, ..self }
    }

    /// So many bridges, each with all roles.
    #[must_use]
    pub fn bridges(self, bridges: usize) -> Self {
        Self { bridges, ..self }
    }

    /// A Kafka that the test may stop, `host:port`.
    #[must_use]
    pub fn kafka(self, bootstrap: &str) -> Self {
        Self { kafka: Some(bootstrap.to_owned()), ..self }
    }

    /// Sets a Spin variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a variable of the bridges' environment.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variant of `spin.toml`.
    #[must_use]
    pub fn manifest(self, manifest: toml::Table) -> Self {
        Self { manifest: Some(manifest), ..self }
    }

    /// Starts it and waits until readiness is 200.
    pub async fn start(self) -> Stack {
        let stack = self.start_unready().await;
        stack.ready().await;
        stack
    }

    /// Starts it and waits until host and bridges answer.
    pub async fn start_unready(self) -> Stack {
        Stack::lay_out(self).await.begin().await
    }

    /// Starts the bridges only, which are expected to end by themselves.
    pub async fn start_expecting_refusal(self) -> Stack {
        let stack = Stack::lay_out(self).await;
        for bridge in &stack.bridges {
            bridge.start();
        }
        stack
    }

    /// As [`Self::start_unready`], with the link to MongoDB cut from the beginning.
    pub async fn start_without_mongo(self) -> Stack {
        let stack = Stack::lay_out(self).await;
        stack.mongo_link.cut();
        stack.begin().await
    }
}

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
    /// From the bridges to MongoDB.
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
    async fn lay_out(plan: Plan) -> Self {
        let servers = servers::shared().await;
        let folder = run::subfolder(&plan.name);
        let kafka = plan.kafka.unwrap_or_else(|| servers.kafka.clone());
        let host_port = ports::reserve();
        let bridge_addresses: Vec<SocketAddr> =
            (0..plan.bridges).map(|_| SocketAddr::from(([127, 0, 0, 1], ports::reserve()))).collect();
        let first =
            bridge_addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], ports::reserve())));
        let bridge_link = Proxy::start(first).await;
        let mongo_link = Proxy::start(servers.mongo).await;
        let (outbox_token, query_token) = (token(), token());
        let base = format!("http://127.0.0.1:{host_port}");

        let mut variables = vec![
            ("bridge_url".to_owned(), format!("http://{}", bridge_link.address())),
            ("outbox_token".to_owned(), outbox_token.clone()),
            ("query_token".to_owned(), query_token.clone()),
        ];
        variables.extend(plan.variables);
        let settings = host::Settings {
            manifest: manifest::write(&plan.manifest.unwrap_or_else(manifest::load), &folder),
            runtime_config: manifest::write_runtime_config(&folder.join("outbox.db"), &folder),
            port: host_port,
            variables,
        };
        let host = Node::new(host::spec(plan.host, &settings, &folder));
        let settings = |address: &SocketAddr| bridge::Settings {
            kafka: kafka.clone(),
            topic: plan.name.clone(),
            group: plan.name.clone(),
            mongo_uri: mongo::uri(&mongo_link.address().to_string()),
            database: plan.name.clone(),
            port: address.port(),
            outbox_url: base.clone(),
            outbox_token: outbox_token.clone(),
            query_token: query_token.clone(),
            more: plan.settings.clone(),
        };
        let bridges = bridge_addresses
            .iter()
            .enumerate()
            .map(|(index, address)| Node::new(bridge::spec(&format!("bridge-{index}"), &settings(address), &folder)))
            .collect();
        Self {
            host,
            bridges,
            client: Client::functions(&base),
            bridge_link,
            mongo_link,
            bridge_addresses,
            store: Store::connect(&servers.mongo.to_string(), &plan.name).await,
            kafka,
            topic: plan.name,
            outbox_token,
            query_token,
            folder,
        }
    }

    async fn begin(self) -> Self {
        for node in self.bridges.iter().chain([&self.host]) {
            node.start();
        }
        for index in 0..self.bridges.len() {
            self.bridge_alive(index).await;
        }
        self.alive().await;
        self
    }

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
        wait::until("the host's liveness", async || {
            self.host.check_running()?;
            answers(&self.client, "/health/liveness", 200).await
        })
        .await;
    }

    /// Waits until a bridge answers.
    pub async fn bridge_alive(&self, index: usize) {
        let client = self.bridge_client(index);
        wait::until("the bridge's liveness", async || {
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
        } else {
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

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
