//! The whole: loads the application, serves it, and takes it down in order.

use std::net::SocketAddr;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Component};
use crate::args::Args;
use crate::engine::{Compiled, Engine};
use crate::pool::Pool;
use crate::server::Server;
use crate::{Error, worker};

/// The part of the shutdown deadline that is given to what is in flight.
const DRAIN_SHARE: f32 = 0.9;

/// A host that is ready to serve.
pub struct Host {
    address: SocketAddr,
    listener: TcpListener,
    server: Arc<Server>,
    engine: Arc<Engine>,
    workers: JoinSet<Result<(), Error>>,
}

impl Host {
    /// Loads the application, makes its instances and binds the address; serves nothing yet.
    ///
    /// # Errors
    /// [`Error::Config`] with every problem of the configuration; else what could not be bound or loaded.
    pub async fn start(args: Args) -> Result<Self, Error> {
        let App { components, routes } = App::load(&args, &|name| std::env::var(name).ok())?;
        let refused = |source| Error::Listen { address: args.listen, source };
        let listener = TcpListener::bind(args.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        raise_file_limit();

        let engine = Engine::new(args.clone())?;
        let (mut workers, mut pools) = (JoinSet::new(), Vec::new());
        for compiled in compile(components, engine.clone()).await? {
            let (jobs, queue) = async_channel::unbounded();
            pools.push(Pool { component: compiled.component.clone(), jobs, limit: args.request_limit });
            for _ in 0..args.instances.get() {
                let first = compiled.instantiate().await?;
                workers.spawn(worker::keep_serving(compiled.clone(), first, queue.clone()));
            }
        }
        Ok(Self { address, listener, server: Server::new(args, routes, pools), engine, workers })
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
        let drain_limit = self.engine.args.shutdown_deadline.mul_f32(DRAIN_SHARE);
        tokio::time::timeout(drain_limit, self.close()).await.unwrap_or_else(|_| {
            tracing::warn!("the shutdown deadline has come with work in flight");
            Ok(())
        })
    }

    async fn close(self) -> Result<(), Error> {
        let Self { listener, server, engine, mut workers, .. } = self;
        drop(listener);
        server.close().await;
        while let Some(ended) = workers.join_next().await {
            ended.map_err(Error::Worker)??;
        }
        engine.database_threads.close();
        engine.database_threads.wait().await;
        Ok(())
    }
}

/// Compiles the components, or takes them from the cache. The allocator keeps what a thread freed until that thread ends,
/// and a compiler frees a lot: so it has threads of its own, which end with it.
async fn compile(components: Vec<Arc<Component>>, engine: Arc<Engine>) -> Result<Vec<Arc<Compiled>>, Error> {
    let work = move || {
        let threads = rayon::ThreadPoolBuilder::new()
            .build()
            .map_err(|source| Error::Load { what: "the compiler's threads".to_owned(), source: source.into() })?;
        let compiled = |component| Compiled::new(component, engine.clone()).map(Arc::new);
        threads.install(|| components.into_par_iter().map(compiled).collect())
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::Worker)?
}

/// Lets the process have as many files as the system allows: each connection is one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
