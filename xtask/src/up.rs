//! `cargo xtask up`: the whole system on this machine, until Ctrl-C.

mod announce;
mod lock;
mod ports;
mod programs;
mod ready;
mod secrets;
mod servers;
mod signals;
mod supervise;

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use wiber_servers::progress::Progress;
use wiber_servers::{kafka, mongo, tools};

use crate::repository::Repository;
use crate::{build, needs};
use servers::{Server, Servers};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of the HTTP API
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    host_port: u16,
    /// Port of the bridge: queries, health, metrics
    #[arg(long, value_name = "PORT", default_value_t = 8002)]
    bridge_port: u16,
    /// Port of Kafka, unless KAFKA_BOOTSTRAP_SERVERS names one of your own
    #[arg(long, value_name = "PORT", default_value_t = 9092)]
    kafka_port: u16,
    /// Port of Kafka's controller
    #[arg(long, value_name = "PORT", default_value_t = 9093)]
    kafka_controller_port: u16,
    /// Port of MongoDB, unless MONGO_URI names one of your own
    #[arg(long, value_name = "PORT", default_value_t = 27017)]
    mongo_port: u16,
}

pub(crate) async fn run(repository: &Repository, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = signals::Signals::listen()?;
    let data = repository.data();
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let _lock = lock::take(&data.join("up.lock"))?;
    let own = servers::Own::from_env();
    // Whatever is missing is said before minutes are spent on the rest.
    needs::native()?;
    needs::wasm_target(repository.root())?;
    ports::check(&arguments, &own)?;
    let progress = Progress::new();
    let servers = Servers::default();
    let up = Up { repository, arguments: &arguments, own: &own, servers: &servers, progress: &progress };
    let outcome = tokio::select! {
        outcome = up.serve() => outcome,
        name = signals.next() => {
            progress.line(&format!("{name}: stopping"));
            Ok(ExitCode::SUCCESS)
        }
    };
    signals.until_second(servers.stop(&progress)).await?;
    outcome
}

/// One run.
struct Up<'a> {
    repository: &'a Repository,
    arguments: &'a Arguments,
    own: &'a servers::Own,
    servers: &'a Servers,
    progress: &'a Progress,
}

impl Up<'_> {
    /// Starts everything, says when all is ready, and keeps it alive.
    ///
    /// # Errors
    /// If something cannot be started, or dies too often.
    async fn serve(&self) -> anyhow::Result<ExitCode> {
        let addresses = self.start().await?;
        let announced = async {
            ready::wait(self.arguments.host_port, self.progress).await;
            announce::print(self.arguments, &addresses);
            std::future::pending().await
        };
        tokio::select! {
            error = supervise::keep_alive(self.servers, self.progress) => Err(error),
            never = announced => never,
        }
    }

    /// Gets, builds and starts everything, side by side where nothing waits for the other.
    async fn start(&self) -> anyhow::Result<servers::Addresses> {
        let Self { repository, arguments, own, servers, progress } = *self;
        let secrets = secrets::draw_once(&repository.data().join("secrets.env"))?;
        let build = async {
            build::functions(repository, progress).await?;
            build::programs(repository, progress).await
        };
        let (kafka, mongo, ()) = tokio::try_join!(self.kafka(), self.mongo(), build)?;
        let addresses = servers::Addresses::new(own, kafka, mongo);
        servers.add(Server::Program(programs::host(repository, arguments, &secrets)?));
        servers.add(Server::Program(programs::bridge(repository, arguments, &secrets, &addresses)?));
        Ok(addresses)
    }

    /// Gets and starts Kafka unless there is one of one's own, and says how to reach it.
    async fn kafka(&self) -> anyhow::Result<Option<String>> {
        if self.own.kafka.is_some() {
            return Ok(None);
        }
        let tools = tools::kafka(&tools::default_cache(), self.progress).await?;
        let task = self.progress.task("Starting Kafka");
        let data = self.repository.data();
        let options = kafka::Options {
            log: data.join("logs/kafka.log"),
            port: Some(self.arguments.kafka_port),
            controller_port: Some(self.arguments.kafka_controller_port),
            is_lasting: true,
            ..kafka::Options::new(data.join("kafka"))
        };
        let kafka = kafka::start(&tools, options).await?;
        let address = kafka.bootstrap_servers();
        self.servers.add(Server::Kafka(kafka));
        task.done(&address);
        Ok(Some(address))
    }

    /// Gets and starts MongoDB unless there is one of one's own, and says how to reach it.
    async fn mongo(&self) -> anyhow::Result<Option<String>> {
        if self.own.mongo.is_some() {
            return Ok(None);
        }
        let tools = tools::mongo(&tools::default_cache(), self.progress).await?;
        let task = self.progress.task("Starting MongoDB");
        let data = self.repository.data();
        let options = mongo::Options {
            log: data.join("logs/mongodb.log"),
            port: Some(self.arguments.mongo_port),
            ..mongo::Options::new(data.join("mongo"))
        };
        let mongo = mongo::start(&tools, options).await?;
        let address = mongo.uri();
        self.servers.add(Server::Mongo(mongo));
        task.done(&address);
        Ok(Some(address))
    }
}
