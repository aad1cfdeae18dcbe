//! wasmtime: its settings, the compiled components, and their instances with the state that the host keeps for each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use wasmtime::component::{self, HasSelf, Linker, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::Component;
use crate::args::Args;
use crate::bindings::Imports;
use crate::outbound::{self, Connections, Outbound};
use crate::stdio::GuestOutput;
use crate::{Error, sqlite};

/// How often running components yield, so that one that computes does not hold up the others.
const TICK: Duration = Duration::from_millis(10);

/// What all components share.
pub(crate) struct Engine {
    pub(crate) args: Args,
    /// The threads of all database connections.
    pub(crate) database_threads: TaskTracker,
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    connections: Connections,
}

impl Engine {
    /// Sets up wasmtime with its compile cache, the interfaces that components may import, and the ticks.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub(crate) fn new(args: Args) -> Result<Arc<Self>, Error> {
        let what = format!("wasmtime with its cache in {}", args.cache_dir.display());
        let (wasmtime, linker) =
            wasmtime(&args.cache_dir).map_err(|source| Error::Load { what, source: source.into() })?;
        let weak = wasmtime.weak();
        // A thread and not a task: with every worker busy in a component no task would run.
        std::thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
        sqlite::watch();
        let (database_threads, connections) = (TaskTracker::new(), outbound::connections());
        Ok(Arc::new(Self { args, database_threads, wasmtime, linker, connections }))
    }
}

fn wasmtime(cache_dir: &Path) -> wasmtime::Result<(wasmtime::Engine, Linker<State>)> {
    let mut cache = CacheConfig::new();
    cache.with_directory(std::path::absolute(cache_dir)?);
    let mut config = Config::new();
    config.wasm_component_model_async(true).epoch_interruption(true).cache(Some(Cache::new(cache)?));
    let engine = wasmtime::Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    // Rust's standard library imports WASI 0.2, the SDK 0.3.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Imports::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok((engine, linker))
}

/// A compiled component, from which instances are made.
pub(crate) struct Compiled {
    pub(crate) component: Arc<Component>,
    pub(crate) engine: Arc<Engine>,
    pre: ProxyPre<State>,
}

impl Compiled {
    /// Compiles `component`, or takes it from the cache. Blocks.
    ///
    /// # Errors
    /// [`Error::Load`], naming an import that the host does not have.
    pub(crate) fn new(component: Arc<Component>, engine: Arc<Engine>) -> Result<Self, Error> {
        let compile = || -> wasmtime::Result<_> {
            let compiled = component::Component::from_file(&engine.wasmtime, &component.source)?;
            ServicePre::new(engine.linker.instantiate_pre(&compiled)?)
        };
        let pre = ProxyPre::P3(compile().map_err(|source| load_error(&component, source))?);
        Ok(Self { component, engine, pre })
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub(crate) async fn instantiate(&self) -> Result<Instance, Error> {
        let Engine { args, database_threads, wasmtime, connections, .. } = &*self.engine;
        let outbound = Outbound { component: self.component.clone(), connections: connections.clone() };
        let memory_bytes = args.memory_limit_mib.get() * 1024 * 1024;
        let mut store = Store::new(wasmtime, State::new(outbound, memory_bytes, database_threads.clone()));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let proxy = self.pre.instantiate_async(&mut store).await;
        Ok(Instance { proxy: proxy.map_err(|source| load_error(&self.component, source))?, store })
    }
}

fn load_error(component: &Component, source: wasmtime::Error) -> Error {
    let what = format!("component {} from {}", component.name, component.source.display());
    Error::Load { what, source: source.into() }
}

/// A component's instance.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) proxy: Proxy,
}

/// What the host keeps for one instance.
pub(crate) struct State {
    pub(crate) component: Arc<Component>,
    pub(crate) table: ResourceTable,
    limits: StoreLimits,
    /// Database connections open now.
    pub(crate) connections: usize,
    /// The threads of all connections of all instances.
    pub(crate) database_threads: TaskTracker,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl State {
    fn new(outbound: Outbound, memory_bytes: usize, database_threads: TaskTracker) -> Self {
        let component = outbound.component.clone();
        let wasi = WasiCtx::builder()
            .stdout(GuestOutput::new(component.clone(), "stdout"))
            .stderr(GuestOutput::new(component.clone(), "stderr"))
            .build();
        let limits = StoreLimitsBuilder::new().memory_size(memory_bytes).build();
        let (table, http) = (ResourceTable::new(), WasiHttpCtx::new());
        Self { component, table, limits, connections: 0, database_threads, wasi, http, outbound }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}
