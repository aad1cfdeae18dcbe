//! The whole: loads the application, serves it, and takes it down in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::args::{Args, ms};
use crate::engine::{self, Compiled, Shared};
use crate::pool::Pool;
use crate::server::{self, Server};
use crate::{Error, outbound, worker};

/// A host that is ready to serve.
pub struct Host {
    address: SocketAddr,
    listener: TcpListener,
    server: Arc<Server>,
    workers: JoinSet<Result<(), Error>>,
    database_threads: TaskTracker,
    shutdown_deadline: Duration,
}

impl Host {
    /// Loads the application, makes its instances and binds the address; serves nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] with every problem of the configuration; else what could not be bound or loaded.
    pub async fn start(args: &Args) -> Result<Self, Error> {
        let app = App::load(args, &|name| std::env::var(name).ok())?;
        let refused = |source| Error::Listen { address: args.listen, source };
        let listener = server::bind(args).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        raise_file_limit();

        let database_threads = TaskTracker::new();
        let shared = Shared {
            engine: engine::engine(&args.cache_dir)?,
            limits: args.limits(),
            connections: outbound::connections(),
            database_threads: database_threads.clone(),
        };
        let mut workers = JoinSet::new();
        let mut pools = Vec::new();
        for compiled in compile(&app, &shared).await? {
            let (jobs, queue) = async_channel::unbounded();
            pools.push(Pool::new(compiled.component.name.clone(), jobs, compiled.limits.request));
            for _ in 0..args.instances.get() {
                let first = compiled.instantiate().await?;
                workers.spawn(worker::keep_serving(compiled.clone(), first, queue.clone()));
            }
        }
        let server = Arc::new(Server::new(args, app.routes, pools));
        let shutdown_deadline = ms(args.shutdown_deadline_ms);
        Ok(Self { address, listener, server, workers, database_threads, shutdown_deadline })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled; then finishes what is in flight, within the deadline.
    ///
    /// # Errors
    /// [`Error::Worker`] when a worker panicked, which ends the host.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        tokio::select! {
            never = self.server.accept(&self.listener) => match never {},
            Some(ended) = self.workers.join_next() => ended.map_err(Error::Worker)??,
            () = shutdown.cancelled() => {}
        }
        let deadline = self.shutdown_deadline.mul_f32(0.9);
        if tokio::time::timeout(deadline, self.close()).await.is_err() {
            tracing::warn!("the shutdown deadline has come with work in flight");
        }
        Ok(())
    }

    async fn close(self) {
        let Self { listener, server, mut workers, database_threads, .. } = self;
        drop(listener);
        server.close().await;
        // Connections that were not worth a wait may still hold the server, so the queues are closed, not dropped.
        server.pools.iter().for_each(Pool::close);
        while let Some(ended) = workers.join_next().await {
            if let Err(error) | Ok(Err(Error::Worker(error))) = ended {
                tracing::error!(%error, "a worker ended unexpectedly");
            }
        }
        database_threads.close();
        database_threads.wait().await;
    }
}

/// Compiles all components side by side, in the order of the application.
async fn compile(app: &App, shared: &Shared) -> Result<Vec<Arc<Compiled>>, Error> {
    let linker = engine::linker(&shared.engine)
        .map_err(|source| Error::Engine { cache: String::new(), source: source.into() })?;
    let tasks = app.components.iter().map(|component| {
        let (component, shared, linker) = (component.clone(), shared.clone(), linker.clone());
        async {
            let compile = move || Compiled::new(component, shared, &linker).map(Arc::new);
            tokio::task::spawn_blocking(compile).await.map_err(Error::Worker)?
        }
    });
    try_join_all(tasks).await
}

/// Lets the process have as many files as the system allows: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
