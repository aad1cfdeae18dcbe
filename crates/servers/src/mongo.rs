//! A real MongoDB: a member of a replica set, alone or of several, since Wiber refuses a standalone server.

mod replica_set;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::process::{Process, Spec};
use crate::{Error, ports, tools};

/// How long a start may take on a busy machine, repair after a crash included.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(20);
const START_TRIES: u32 = 3;

/// How to start a member.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its folder: data (kept between runs) and log.
    pub dir: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    /// Its port; a free one if `None`. It may differ from the last run's.
    pub port: Option<u16>,
    /// The port that clients are told to use, where a proxy stands before the server.
    pub advertised_port: Option<u16>,
    /// The replica set's name.
    pub replica_set: String,
    /// Every member's address as clients and members use it, this one's included, the same list for each; empty for a
    /// member alone. The first initiates the set. Needs `port`.
    pub members: Vec<String>,
    /// The storage engine's cache, in gigabytes; at least 0.25.
    pub cache_gb: f32,
    /// Further arguments, such as `--setParameter name=value`.
    pub args: Vec<String>,
}

impl Options {
    /// A member in `dir` on a free port.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            log: dir.join("mongod.log"),
            dir,
            port: None,
            advertised_port: None,
            replica_set: "wiber".into(),
            members: Vec::new(),
            cache_gb: 0.25,
            args: Vec::new(),
        }
    }

    fn member(&self) -> String {
        format!("127.0.0.1:{}", self.advertised_port.or(self.port).unwrap_or_default())
    }
}

/// A running member, or one that was stopped and can be started again on the same port.
#[derive(Debug)]
pub struct Mongo {
    options: Options,
    process: Process,
}

/// Starts a member and waits until it serves: the only one of its set until it is the primary, one of several until it is
/// the primary or a secondary. Those must be started at the same time.
///
/// # Errors
/// If it cannot be started or is not ready in time.
pub async fn start(tools: &tools::Mongo, options: Options) -> Result<Mongo, Error> {
    let mut tries = if options.port.is_some() { 1 } else { START_TRIES };
    loop {
        tries -= 1;
        let port = Some(options.port.unwrap_or_else(ports::free));
        match try_start(tools, Options { port, ..options.clone() }).await {
            // Somebody may have taken the free port before MongoDB did.
            Err(Error::Ended { .. }) if tries > 0 => {}
            other => return other,
        }
    }
}

async fn try_start(tools: &tools::Mongo, options: Options) -> Result<Mongo, Error> {
    let data = options.dir.join("data");
    fs::create_dir_all(&data).map_err(Error::io("create", &data))?;
    let port = options.port.unwrap_or_default();
    let spec = Spec::new("MongoDB", &tools.mongod, &options.log)
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket"])
        .args(["--port".to_owned(), port.to_string()])
        .args(["--replSet", &options.replica_set, "--oplogSize", "990"])
        .args(["--wiredTigerCacheSizeGB".to_owned(), options.cache_gb.to_string()])
        // Fail points, by which tests make it slow or let it fail.
        .args(["--setParameter", "enableTestCommands=1"])
        .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
        .args(&options.args)
        .args(["--dbpath".into(), data.into_os_string()]);
    let mongo = Mongo { process: Process::spawn(spec)?, options };
    mongo.ready().await?;
    Ok(mongo)
}

impl Mongo {
    /// The connection string for clients.
    #[must_use]
    pub fn uri(&self) -> String {
        let alone = [self.options.member()];
        let members = if self.options.members.is_empty() { &alone[..] } else { &self.options.members };
        format!("mongodb://{}/?replicaSet={}", members.join(","), self.options.replica_set)
    }

    /// The port that the server itself listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        // Always chosen before a start.
        self.options.port.unwrap_or_default()
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

    /// The member's own address, as clients and members use it.
    #[must_use]
    pub fn address(&self) -> String {
        self.options.member()
    }

    /// Starts it again after it ended, and waits until it serves.
    ///
    /// # Errors
    /// If it runs still, cannot be started, or is not ready in time.
    pub async fn start(&self) -> Result<(), Error> {
        self.process.start()?;
        self.ready().await
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
        let set = replica_set::Member {
            port: self.port(),
            set: &self.options.replica_set,
            host: &self.options.member(),
            members: &self.options.members,
        };
        self.process.ready(READY_MAX, || set.serves()).await
    }
}
