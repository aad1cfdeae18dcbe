//! What a test asks of its stack, and how that is laid out.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::sync::Mutex;

use super::Stack;
use crate::client::Client;
use crate::host::Host;
use crate::mongo::Store;
use crate::node::Node;
use crate::proxy::Proxy;
use crate::{bridge, host, manifest, mongo, names, ports, run, servers};

/// A MongoDB of the test's own.
#[derive(Debug, Clone)]
pub struct Mongo {
    /// For the bridges.
    pub uri: String,
    /// For the harness, past every proxy.
    pub own_uri: String,
}

/// What a test asks for.
#[derive(Debug, Clone)]
pub struct Plan {
    name: String,
    host: Host,
    bridges: usize,
    kafka: Option<String>,
    mongo: Option<Mongo>,
    folder: Option<PathBuf>,
    outbox: Option<PathBuf>,
    bridge: Option<PathBuf>,
    variables: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    manifest: Option<toml::Table>,
    direct: bool,
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
            mongo: None,
            folder: None,
            outbox: None,
            bridge: None,
            variables: Vec::new(),
            settings: Vec::new(),
            manifest: None,
            direct: false,
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

    /// A MongoDB that the test may stop.
    #[must_use]
    pub fn mongo(self, mongo: Mongo) -> Self {
        Self { mongo: Some(mongo), ..self }
    }

    /// Its folder, which is made; one in the run's own otherwise.
    #[must_use]
    pub fn folder(self, folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..self }
    }

    /// The folder of the outbox file, such as a small disk; the stack's folder otherwise.
    #[must_use]
    pub fn outbox(self, folder: PathBuf) -> Self {
        Self { outbox: Some(folder), ..self }
    }

    /// Another bridge than the one under test.
    #[must_use]
    pub fn bridge_program(self, program: PathBuf) -> Self {
        Self { bridge: Some(program), ..self }
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

    /// No links in between: its parts speak to each other directly, where time is measured.
    #[must_use]
    pub fn direct(self) -> Self {
        Self { direct: true, ..self }
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
        begin(self.lay_out().await).await
    }

    /// Starts the bridges only, which are expected to end by themselves.
    pub async fn start_expecting_refusal(self) -> Stack {
        let stack = self.lay_out().await;
        for bridge in &stack.bridges {
            bridge.start();
        }
        stack
    }

    /// As [`Self::start_unready`], with the link to MongoDB cut from the beginning.
    pub async fn start_without_mongo(self) -> Stack {
        let stack = self.lay_out().await;
        stack.mongo_link.cut();
        begin(stack).await
    }

    /// Draws ports and tokens, opens the links and writes the files; starts nothing.
    async fn lay_out(self) -> Stack {
        let folder = self.folder.clone().unwrap_or_else(|| run::subfolder(&self.name));
        std::fs::create_dir_all(&folder).expect("the stack's folder can be made");
        let kafka = match &self.kafka {
            Some(kafka) => kafka.clone(),
            None => servers::shared().await.kafka.clone(),
        };
        let shared_mongo = match &self.mongo {
            Some(_) => None,
            None => Some(servers::shared().await.mongo),
        };
        let bridge_addresses: Vec<SocketAddr> = (0..self.bridges).map(|_| reserved()).collect();
        // Without a bridge the host is led to a port where nobody listens.
        let bridge_address = bridge_addresses.first().copied().unwrap_or_else(reserved);
        let bridge_link = Proxy::start(bridge_address).await;
        let mongo_address = shared_mongo.unwrap_or_else(reserved);
        let mongo_link = Proxy::start(mongo_address).await;
        let on_the_way = |link: &Proxy, address: SocketAddr| if self.direct { address } else { link.address() };
        let mongo = match (self.mongo.clone(), shared_mongo) {
            (Some(mongo), _) => mongo,
            (None, _) => Mongo {
                uri: mongo::uri(&on_the_way(&mongo_link, mongo_address).to_string()),
                own_uri: mongo::uri(&mongo_address.to_string()),
            },
        };
        let host_address = reserved();
        let outbox_link = Proxy::start(host_address).await;
        let base = format!("http://{host_address}");
        let (outbox_token, query_token) = (token(), token());

        let mut variables = vec![
            ("bridge_url".to_owned(), format!("http://{}", on_the_way(&bridge_link, bridge_address))),
            ("outbox_token".to_owned(), outbox_token.clone()),
            ("query_token".to_owned(), query_token.clone()),
        ];
        variables.extend(self.variables);
        let host = host::Settings {
            manifest: manifest::write(&self.manifest.unwrap_or_else(manifest::load), &folder),
            runtime_config: manifest::write_runtime_config(
                &self.outbox.as_ref().unwrap_or(&folder).join("outbox.db"),
                &folder,
            ),
            port: host_address.port(),
            variables,
        };
        let bridge = |(index, address): (usize, &SocketAddr)| {
            let settings = bridge::Settings {
                program: self.bridge.clone(),
                kafka: kafka.clone(),
                topic: self.name.clone(),
                group: self.name.clone(),
                mongo_uri: mongo.uri.clone(),
                database: self.name.clone(),
                port: address.port(),
                outbox_url: format!("http://{}", on_the_way(&outbox_link, host_address)),
                outbox_token: outbox_token.clone(),
                query_token: query_token.clone(),
                more: self.settings.clone(),
            };
            Node::new(bridge::spec(&format!("bridge-{index}"), &settings, &folder))
        };
        Stack {
            host: Node::new(host::spec(self.host, &host, &folder)),
            bridges: bridge_addresses.iter().enumerate().map(bridge).collect(),
            client: Client::functions(&base),
            bridge_link,
            outbox_link,
            mongo_link,
            bridge_addresses,
            store: Store::connect(&mongo.own_uri, &self.name).await,
            kafka,
            topic: self.name,
            outbox_token,
            query_token,
            folder,
        }
    }
}

/// Hosts begin one after the other: the first compiles the components into the cache, and all others find them there.
static BEGINNING: Mutex<()> = Mutex::const_new(());

async fn begin(stack: Stack) -> Stack {
    for bridge in &stack.bridges {
        bridge.start();
    }
    let turn = BEGINNING.lock().await;
    stack.host.start();
    stack.alive().await;
    drop(turn);
    for index in 0..stack.bridges.len() {
        stack.bridge_alive(index).await;
    }
    stack
}

fn reserved() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::reserve()))
}

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
