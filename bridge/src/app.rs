//! The bridge as a whole: builds its parts, runs its roles, stops them in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::kafka::{self, Inspector, lag};
use crate::status::{Board, probe};
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::{api, consumer, relay};

// Shares of the shutdown deadline that waits for servers may take, so that a server which says nothing makes no role end
// too late. The relay does the first three, at the same time the consumer the next two and a last commit of half of
// CLOSE_SHARE between them, then the API ends: at most 0.875 of the deadline. The rest is for everything else.
const FLUSH_SHARE: f64 = 0.35;
const MARK_SHARE: f64 = 0.15;
const RELEASE_SHARE: f64 = 0.1;
const DRAIN_SHARE: f64 = 0.35;
const CLOSE_SHARE: f64 = 0.25;
const API_SHARE: f64 = 0.15;

/// Why the bridge cannot start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics cannot be registered.
    #[error("setting up metrics")]
    Metrics(#[from] prometheus::Error),
    /// The address is taken or not ours.
    #[error("listening on {address} (WIBER_LISTEN)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Kafka's settings are refused.
    #[error("setting up Kafka")]
    Kafka(#[from] kafka::Error),
    /// MongoDB's settings are refused.
    #[error("setting up MongoDB")]
    Store(#[from] store::Error),
    /// The relay cannot go on.
    #[error("role relay")]
    Relay(#[from] relay::Error),
    /// The consumer cannot go on.
    #[error("role consumer")]
    Consumer(#[from] consumer::Error),
    /// The HTTP server failed.
    #[error("serving HTTP")]
    Api(#[source] io::Error),
    /// A task panicked.
    #[error("a task ended abnormally")]
    Task(#[from] JoinError),
    /// A role ended although nobody asked it to.
    #[error("role {role} ended by itself")]
    Ended {
        /// Which.
        role: &'static str,
    },
    /// What was in flight took too long.
    #[error(
        "the shutdown deadline of {deadline_ms} ms (WIBER_SHUTDOWN_DEADLINE_MS) passed; what was in flight is resent"
    )]
    Deadline {
        /// The deadline, milliseconds.
        deadline_ms: u128,
    },
}

/// The bridge, built but not started.
#[derive(Debug)]
pub struct App {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    inspector: Inspector,
    store: Store,
    board: Board,
    metrics: Metrics,
}

impl App {
    /// Builds every part and binds the address; no server behind the bridge needs to be there yet.
    ///
    /// # Errors
    /// If an address is taken, or a client refuses its settings.
    pub async fn build(config: Config) -> Result<Self, Error> {
        let metrics = Metrics::new()?;
        let listen = |source| Error::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let inspector = Inspector::new(&config.kafka)?;
        let store = Store::new(&config.mongo).await?;
        Ok(Self { config, listener, address, inspector, store, board: Board::new(), metrics })
    }

    /// The address that is bound, which differs from the setting if that had port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs every role until shutdown or until one cannot go on; then stops relay and consumer first, the API last.
    ///
    /// # Errors
    /// The first error of a role, or that the deadline passed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (roles_stop, api_stop) = (CancellationToken::new(), CancellationToken::new());
        let deadline = self.config.shutdown_deadline;
        let mut roles = JoinSet::new();
        let mut serving = JoinSet::new();
        let (lag_sender, lag) = watch::channel(None);
        self.spawn_background(&mut serving, lag_sender, &api_stop);
        self.spawn_roles(&mut roles, lag, &roles_stop);
        self.spawn_api(&mut serving, &api_stop);

        let first = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = roles.join_next() => ended_early(ended),
            Some(ended) = serving.join_next() => ended_early(ended),
        };
        tracing::info!(deadline_ms = deadline.as_millis(), "stopping");
        roles_stop.cancel();
        let stopped = tokio::time::timeout(deadline, async {
            let roles = join_all(&mut roles).await;
            api_stop.cancel();
            // A caller that does not read its answer must not hold up the end.
            let served = tokio::time::timeout(deadline.mul_f64(API_SHARE), join_all(&mut serving)).await;
            roles.and(served.unwrap_or(Ok(())))
        });
        let stopped = stopped.await.unwrap_or(Err(Error::Deadline { deadline_ms: deadline.as_millis() }));
        first.and(stopped)
    }

    fn spawn_background(
        &self,
        tasks: &mut JoinSet<Ended>,
        lag_sender: watch::Sender<Option<lag::Lag>>,
        stop: &CancellationToken,
    ) {
        let (board, metrics) = (self.board.clone(), self.metrics.clone());
        let outboxes = self.config.outbox_urls.iter().map(ToString::to_string).collect();
        let probe = probe::run(board, metrics, self.inspector.clone(), self.store.clone(), outboxes, stop.clone());
        spawn(tasks, "probe", stop, async {
            probe.await;
            Ok(())
        });
        if self.config.roles.relay || self.config.roles.consumer {
            let lag = lag::run(self.inspector.clone(), self.metrics.clone(), lag_sender, stop.clone());
            spawn(tasks, "lag", stop, async {
                lag.await;
                Ok(())
            });
        }
    }

    fn spawn_roles(
        &self,
        tasks: &mut JoinSet<Ended>,
        lag: watch::Receiver<Option<lag::Lag>>,
        stop: &CancellationToken,
    ) {
        let (roles, deadline) = (self.config.roles, self.config.shutdown_deadline);
        if roles.relay {
            let parts = relay::Parts {
                outbox_urls: self.config.outbox_urls.clone(),
                outbox_token: self.config.outbox_token.clone(),
                instance_id: self.config.instance_id.clone(),
                limits: relay::Limits {
                    flush: deadline.mul_f64(FLUSH_SHARE),
                    mark: deadline.mul_f64(MARK_SHARE),
                    release: deadline.mul_f64(RELEASE_SHARE),
                },
                inspector: self.inspector.clone(),
                store: self.store.clone(),
                board: self.board.clone(),
                metrics: self.metrics.clone(),
                lag,
            };
            let relay = relay::run(parts, stop.clone());
            spawn(tasks, "relay", stop, async { relay.await.map_err(Error::from) });
        }
        if roles.consumer {
            let consumer = consume(self.consumer_parts(deadline), stop.clone());
            spawn(tasks, "consumer", stop, consumer);
        }
    }

    fn consumer_parts(&self, deadline: Duration) -> consumer::Parts {
        consumer::Parts {
            kafka: self.config.kafka.clone(),
            instance_id: self.config.instance_id.clone(),
            outbox_urls: self.config.outbox_urls.clone(),
            inspector: self.inspector.clone(),
            store: self.store.clone(),
            board: self.board.clone(),
            metrics: self.metrics.clone(),
            drain_limit: deadline.mul_f64(DRAIN_SHARE),
            close_limit: deadline.mul_f64(CLOSE_SHARE),
        }
    }

    fn spawn_api(self, tasks: &mut JoinSet<Ended>, stop: &CancellationToken) {
        let parts = api::Parts {
            store: self.config.roles.query.then_some(self.store),
            query_token: self.config.query_token,
            board: self.board,
            metrics: self.metrics,
        };
        tracing::info!(address = %self.address, roles = ?self.config.roles, "serving");
        let api = api::serve(self.listener, parts, stop.clone());
        spawn(tasks, "api", stop, async { api.await.map_err(Error::Api) });
    }
}

async fn consume(parts: consumer::Parts, stop: CancellationToken) -> Result<(), Error> {
    if kafka::ensure_ready(&parts.inspector, &parts.board, &parts.metrics, &stop).await? {
        consumer::run(parts, stop).await?;
    }
    Ok(())
}

/// A task's name, whether it was asked to end, and how it ended.
type Ended = (&'static str, bool, Result<(), Error>);

fn spawn(
    tasks: &mut JoinSet<Ended>,
    name: &'static str,
    stop: &CancellationToken,
    task: impl Future<Output = Result<(), Error>> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        let outcome = task.await;
        (name, stop.is_cancelled(), outcome)
    });
}

fn ended_early(ended: Result<Ended, JoinError>) -> Result<(), Error> {
    match ended? {
        (_, _, Err(error)) => Err(error),
        (_, true, Ok(())) => Ok(()),
        (role, false, Ok(())) => Err(Error::Ended { role }),
    }
}

async fn join_all(tasks: &mut JoinSet<Ended>) -> Result<(), Error> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        outcome = outcome.and(ended.map_err(Error::from).and_then(|(_, _, outcome)| outcome));
    }
    outcome
}
