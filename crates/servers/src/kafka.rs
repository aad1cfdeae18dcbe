//! A real Kafka broker: KRaft, broker and controller in one process, alone or as one node of a cluster.

mod format;
mod handshake;
mod properties;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::process::{Process, Spec};
use crate::{Error, command, ports, tools};

/// How long a start may take on a busy machine.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(20);
const START_TRIES: u32 = 3;
/// Java's first compiler only: what ends soon is done earlier.
const QUICK: &str = "-XX:TieredStopAtLevel=1";

/// A node of a controller quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub node_id: u32,
    /// Its controller's port.
    pub controller_port: u16,
}

/// How to start a node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder: data (kept between runs), configuration and log.
    pub dir: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    /// Its id.
    pub node_id: u32,
    /// The clients' port; a free one if `None`.
    pub port: Option<u16>,
    /// The controller's port; a free one if `None`.
    pub controller_port: Option<u16>,
    /// The port that clients are told to use, where a proxy stands before the broker.
    pub advertised_port: Option<u16>,
    /// Every node of the cluster, this one included; empty for a node of its own. Needs `controller_port`.
    pub quorum: Vec<Voter>,
    /// The cluster's id, the same on each node: a UUID of 16 bytes in unpadded URL-safe base64.
    pub cluster_id: String,
    /// SCRAM-SHA-256 users and their passwords, made when the data folder is; after that they are Kafka's own.
    pub users: Vec<(String, String)>,
    /// Whether it runs for long: then Java compiles what is hot once more and better, as it does by default. That pays after
    /// some minutes of load only.
    pub is_lasting: bool,
    /// Broker properties that are added or that replace this crate's.
    pub properties: Vec<(String, String)>,
}

impl Options {
    /// A single node in `dir` on free ports.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            log: dir.join("kafka.log"),
            dir,
            node_id: 1,
            port: None,
            controller_port: None,
            advertised_port: None,
            quorum: Vec::new(),
            cluster_id: "d2liZXItbG9jYWwta2Fmaw".into(),
            users: Vec::new(),
            is_lasting: false,
            properties: Vec::new(),
        }
    }

    fn with_ports(&self) -> Self {
        let mut options = self.clone();
        options.port.get_or_insert_with(ports::free);
        while options.controller_port.is_none_or(|port| Some(port) == options.port) {
            options.controller_port = Some(ports::free());
        }
        options
    }
}

/// A running node, or one that was stopped and can be started again on the same ports.
#[derive(Debug)]
pub struct Kafka {
    options: Options,
    process: Process,
}

/// Starts a node and waits until it serves clients. The nodes of a cluster must be started at the same time, since none
/// is ready before most of them run.
///
/// # Errors
/// If it cannot be started or is not ready in time.
pub async fn start(tools: &tools::Kafka, options: Options) -> Result<Kafka, Error> {
    let chosen = options.port.is_some() || options.controller_port.is_some();
    let mut tries = if chosen { 1 } else { START_TRIES };
    loop {
        tries -= 1;
        match try_start(tools, options.with_ports()).await {
            // Somebody may have taken a free port before Kafka did.
            Err(Error::Ended { .. }) if tries > 0 => {}
            other => return other,
        }
    }
}

async fn try_start(tools: &tools::Kafka, options: Options) -> Result<Kafka, Error> {
    let properties = properties::write(&options)?;
    format::once(tools, &options, &properties).await?;
    let spec = Spec::new("Kafka", &tools.java, &options.log)
        .args((!options.is_lasting).then_some(QUICK))
        .args(java_arguments(tools))
        .args(["kafka.Kafka".into(), properties.into_os_string()]);
    let process = Process::spawn(spec)?;
    let kafka = Kafka { options, process };
    kafka.ready().await?;
    Ok(kafka)
}

/// A small heap, and what makes a start fast: the quick compiler only, the collector that needs no threads.
fn java_arguments(tools: &tools::Kafka) -> Vec<std::ffi::OsString> {
    let mut class_path = tools.jars.clone().into_os_string();
    class_path.push("/*");
    let mut arguments: Vec<std::ffi::OsString> = [
        "-Xms128m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
        // Hundreds of lines of settings at each start.
        "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
        "-cp",
    ]
    .map(Into::into)
    .into();
    arguments.push(class_path);
    arguments
}

impl Kafka {
    /// `127.0.0.1:<port>` for clients; the advertised port if there is one.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.options.advertised_port.unwrap_or_else(|| self.port()))
    }

    /// The port that the broker itself listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        // Always chosen before a start.
        self.options.port.unwrap_or_default()
    }

    /// Runs one of Kafka's command-line tools, such as `org.apache.kafka.tools.AclCommand`, against this broker.
    ///
    /// # Errors
    /// If it fails, with what it wrote.
    pub async fn tool(&self, tools: &tools::Kafka, class: &str, arguments: &[&str]) -> Result<(), Error> {
        let mut tool = Command::new(&tools.java);
        tool.arg(QUICK).args(java_arguments(tools)).args([
            class,
            "--bootstrap-server",
            &format!("127.0.0.1:{}", self.port()),
        ]);
        tool.args(arguments);
        command::run("running a tool of Kafka's", class, tool, |_| ()).await
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(&self.options.dir)
    }

    /// The process, for its id and signals.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<(), Error> {
        self.process.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        self.process.resume()
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&self) -> ExitStatus {
        self.process.kill().await
    }

    /// An orderly stop, or SIGKILL if that takes too long.
    pub async fn stop(&self) -> ExitStatus {
        self.process.stop(STOP_MAX).await
    }

    /// Starts it again after it ended, and waits until it serves clients.
    ///
    /// # Errors
    /// If it runs still, cannot be started, or is not ready in time.
    pub async fn start(&self) -> Result<(), Error> {
        self.process.start()?;
        self.ready().await
    }

    /// Loses all of its data, as with its disk; it must have ended. It then can be started as a new node.
    ///
    /// # Errors
    /// If the folder cannot be emptied or formatted.
    pub async fn wipe(&self, tools: &tools::Kafka) -> Result<(), Error> {
        let data = self.data();
        std::fs::remove_dir_all(&data).map_err(Error::io("remove", &data))?;
        let properties = properties::write(&self.options)?;
        format::once(tools, &self.options, &properties).await
    }

    /// Stops it if it runs, and starts it again.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await;
        self.start().await
    }

    async fn ready(&self) -> Result<(), Error> {
        let (port, node_id) = (self.port(), self.options.node_id);
        self.process.ready(READY_MAX, || handshake::serves(port, node_id)).await
    }
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}
