//! A deployment to do harm to: Kafka and MongoDB of its own, one or three of each, every one behind a link; a host and
//! three bridges, which a supervisor starts again when they end.

mod servers;
mod supervisor;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wiber_servers::progress::Progress;
use wiber_servers::tools::{self, Tools};
use wiber_tests::answer::Answer;
use wiber_tests::load::{Entry, Outcome};
use wiber_tests::node::Node;
use wiber_tests::proxy::Proxy;
use wiber_tests::stack::{Mongo as MongoAt, Plan, Stack};
use wiber_tests::{manifest, mongo, names, run};

use crate::disk::Disk;
use crate::injection::Recovery;

pub(crate) use servers::{Broker, Member, PASSWORD, USER};
use supervisor::Supervisor;

/// How many nodes of each server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Single,
    Three,
}

impl Shape {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Single => "one node",
            Self::Three => "three nodes",
        }
    }

    pub(crate) fn nodes(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Three => 3,
        }
    }
}

/// The bridge that runs only while a row wants one more.
pub(crate) const SPARE: usize = 2;
const BRIDGES: usize = 3;
const OUTBOX_DISK_MB: u32 = 768;
const KAFKA_DISK_MB: u32 = 2048;
/// What differs from a deployment of what is under test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// Another bridge.
    pub(crate) bridge: Option<PathBuf>,
    /// Another component *send*.
    pub(crate) send: Option<PathBuf>,
    /// Variables of the bridges' environment.
    pub(crate) settings: Vec<(String, String)>,
    /// Variables of the functions.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The outbox and Kafka lie on the machine's own disk, whose fsync takes its time, rather than on small ones that
    /// rows can fill.
    pub(crate) own_disk: bool,
}

/// The deployment.
pub(crate) struct World {
    pub(crate) shape: Shape,
    pub(crate) stack: Arc<Stack>,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) members: Vec<Member>,
    pub(crate) tools: Tools,
    /// Where the outbox lies; why there is no such disk otherwise.
    pub(crate) outbox_disk: Result<Disk, String>,
    /// Where the first broker lies.
    pub(crate) kafka_disk: Result<Disk, String>,
    /// Messages of the load that got a 200.
    pub(crate) acknowledged: Arc<AtomicUsize>,
    /// What rows sent themselves and got a 200 for.
    sent: Mutex<Vec<Entry>>,
    /// How long anything may take to be well again before that counts as not recovering.
    patience: Duration,
    supervisor: Supervisor,
}

impl World {
    /// Starts everything and waits until it is ready.
    pub(crate) async fn start(shape: Shape, name: &str, variant: &Variant, patience: Duration) -> anyhow::Result<Self> {
        let tools = tools::ensure(&tools::default_cache(), &Progress::new()).await?;
        let folder = run::subfolder(name);
        let disk = |name: &str, megabytes: u32| {
            if variant.own_disk { Err("not wanted".to_owned()) } else { Disk::mount(&folder.join(name), megabytes) }
        };
        let (outbox_disk, kafka_disk) = (disk("outbox", OUTBOX_DISK_MB), disk("kafka-1", KAFKA_DISK_MB));
        let (brokers, members) =
            tokio::try_join!(servers::brokers(&tools, shape, &folder), servers::members(&tools, shape, &folder))?;
        let own: Vec<String> = brokers.iter().map(|b| b.kafka.bootstrap_servers()).collect();
        let links: Vec<String> = brokers.iter().map(|b| b.link.address().to_string()).collect();
        let replicas = shape.nodes().to_string();
        let in_sync = if shape == Shape::Three { "2" } else { "1" };
        let outbox = match &outbox_disk {
            Ok(disk) => disk.folder().to_owned(),
            Err(_) => folder.clone(),
        };
        let mut plan = Plan::new(name);
        if let Some(bridge) = &variant.bridge {
            plan = plan.bridge_program(bridge.clone());
        }
        if let Some(send) = &variant.send {
            let mut manifest = manifest::load();
            manifest::replace(&mut manifest, "send", send);
            plan = plan.manifest(manifest);
        }
        for (name, value) in &variant.settings {
            plan = plan.setting(name, value);
        }
        for (name, value) in &variant.variables {
            plan = plan.variable(name, value);
        }
        let plan = plan
            .folder(folder)
            .outbox(outbox)
            .bridges(BRIDGES)
            .kafka(&own.join(","))
            .setting("KAFKA_BOOTSTRAP_SERVERS", &links.join(","))
            .setting("WIBER_KAFKA_PROPERTIES", &servers::client_properties())
            .mongo(mongo_at(shape, &members))
            .setting("WIBER_KAFKA_REPLICATION_FACTOR", &replicas)
            .setting("WIBER_KAFKA_MIN_INSYNC_REPLICAS", in_sync);
        let stack = Arc::new(plan.start().await);
        let supervisor = Supervisor::start(&stack);
        let (acknowledged, sent) = (Arc::default(), Mutex::default());
        let world = Self {
            shape,
            stack,
            brokers,
            members,
            tools,
            outbox_disk,
            kafka_disk,
            acknowledged,
            sent,
            patience,
            supervisor,
        };
        world.hold(world.bridge(SPARE));
        world.bridge(SPARE).terminate(Duration::from_secs(15)).await;
        world.stack.ready().await;
        Ok(world)
    }

    pub(crate) fn host(&self) -> &Node {
        &self.stack.host
    }

    pub(crate) fn bridge(&self, index: usize) -> &Node {
        &self.stack.bridges[index]
    }

    /// The bridges that run when nothing is wrong.
    pub(crate) fn working_bridges(&self) -> impl Iterator<Item = &Node> {
        self.stack.bridges.iter().take(SPARE)
    }

    /// The supervisor leaves the node alone.
    pub(crate) fn hold(&self, node: &Node) {
        self.supervisor.hold(&self.stack, node, true);
    }

    /// The supervisor starts the node if it does not run.
    pub(crate) fn release(&self, node: &Node) {
        self.supervisor.hold(&self.stack, node, false);
    }

    /// Every link between the bridges and a server, by name.
    pub(crate) fn links(&self) -> Vec<(&'static str, Vec<&Proxy>)> {
        vec![
            ("bridge to outbox", vec![&self.stack.outbox_link]),
            ("functions to bridge", vec![&self.stack.bridge_link]),
            ("bridge to Kafka", self.brokers.iter().map(|b| &b.link).collect()),
            ("bridge to MongoDB", self.members.iter().map(|m| &m.link).collect()),
        ]
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.stack.folder().to_owned()
    }

    /// Waits for a 200; returns after how long, and the message's id.
    pub(crate) async fn accepts(&self) -> Result<(Duration, String), String> {
        let (from, to) = names::pair();
        self.takes(&from, &to, &names::unique("a canary")).await
    }

    /// The same for a certain message.
    pub(crate) async fn takes(&self, from: &str, to: &str, content: &str) -> Result<(Duration, String), String> {
        let began = Instant::now();
        let (client, key) = (self.stack.client.unpooled(), names::unique("canary"));
        loop {
            let call = client.sending(from, to, content).header("idempotency-key", &key);
            let seen = match call.attempt().await {
                Ok(answer) if answer.status == 200 => {
                    let id = wiber_tests::send::id(&answer.json());
                    self.log(from, to, content, Outcome::Ok(id.clone()), began);
                    return Ok((began.elapsed(), id));
                }
                Ok(answer) => answer.to_string(),
                Err(error) => error.to_string(),
            };
            if began.elapsed() > self.patience {
                self.log(from, to, content, Outcome::Unknown, began);
                return Err(format!("no message was accepted for {:?}; last answer: {seen}", self.patience));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One attempt to send a message; its answer, `None` if there was none.
    pub(crate) async fn tries(&self) -> Option<u16> {
        let (from, to) = names::pair();
        let (content, began) = (names::unique("tried once"), Instant::now());
        let answered = self.stack.client.unpooled().sending(&from, &to, &content).attempt().await;
        self.log(&from, &to, &content, Outcome::of(&answered), began);
        Some(answered.ok()?.status)
    }

    /// The judge is to know of what a row sent.
    pub(crate) fn log(&self, from: &str, to: &str, content: &str, outcome: Outcome, started: Instant) {
        let (from, to, content) = (from.into(), to.into(), content.into());
        let entry = Entry { from, to, content, batch: None, outcome, started, ended: Instant::now() };
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// How many messages of the load got a 200 so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What rows sent since this was last asked.
    pub(crate) fn sent_by_rows(&self) -> Vec<Entry> {
        std::mem::take(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a message that is sent now is accepted, then stored.
    pub(crate) async fn recovers(&self) -> Result<Recovery, String> {
        let began = Instant::now();
        let (accepted, id) = self.accepts().await?;
        self.reaches(&id, "stored", self.patience).await?;
        Ok(Recovery { accepted, stored: began.elapsed() })
    }

    /// Waits until a message has a state.
    pub(crate) async fn reaches(&self, id: &str, state: &str, limit: Duration) -> Result<(), String> {
        self.is_any_of(id, &[state], limit).await
    }

    /// Waits until a message is in Kafka, or further.
    pub(crate) async fn passes(&self, id: &str, limit: Duration) -> Result<(), String> {
        self.is_any_of(id, &["published", "stored"], limit).await
    }

    async fn is_any_of(&self, id: &str, states: &[&str], limit: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let is_state = |answer: &Answer| {
                answer.status == 200 && answer.json()["state"].as_str().is_some_and(|state| states.contains(&state))
            };
            let seen = match self.stack.client.call("GET", &format!("/messages/id/{id}")).attempt().await {
                Ok(answer) if is_state(&answer) => return Ok(()),
                Ok(answer) => answer.to_string(),
                Err(error) => error.to_string(),
            };
            if began.elapsed() > limit {
                return Err(format!("{id} was not {} within {limit:?}; last answer: {seen}", states.join(" or ")));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Undoes what a row that failed may have left behind.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        for disk in [&self.outbox_disk, &self.kafka_disk].into_iter().flatten() {
            disk.clear();
        }
        for (_, links) in self.links() {
            links.into_iter().for_each(Proxy::heal);
        }
        for broker in &self.brokers {
            broker.revive().await?;
        }
        for member in &self.members {
            member.revive().await?;
        }
        for node in self.working_bridges().chain([self.host()]) {
            self.release(node);
        }
        Ok(())
    }

    /// Ends every program.
    pub(crate) async fn stop(self) {
        self.supervisor.stop();
        self.stack.stop().await;
        for broker in &self.brokers {
            broker.kafka.kill().await;
        }
        for member in &self.members {
            member.mongo.kill().await;
        }
    }
}

fn mongo_at(shape: Shape, members: &[Member]) -> MongoAt {
    match shape {
        Shape::Single => MongoAt {
            uri: mongo::uri(&members[0].link.address().to_string()),
            own_uri: mongo::uri(&format!("127.0.0.1:{}", members[0].mongo.port())),
        },
        // The set's own addresses are the links.
        Shape::Three => MongoAt { uri: members[0].mongo.uri(), own_uri: members[0].mongo.uri() },
    }
}
