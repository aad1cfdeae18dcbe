//! wasmtime: its settings, the compiled components, and the making of instances.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::app::Component;
use crate::args::Limits;
use crate::bindings::{sqlite, variables};
use crate::instance::{Instance, State};
use crate::outbound::{Connections, Outbound};
use crate::{Error, sqlite as databases};

/// How often running components yield, so that one that computes does not hold up the others.
const TICK: Duration = Duration::from_millis(10);

/// Sets up wasmtime with its compile cache in `cache_dir`, and the ticks.
///
/// # Errors
/// [`Error::Engine`].
pub(crate) fn engine(cache_dir: &Path) -> Result<Engine, Error> {
    let make = || -> wasmtime::Result<Engine> {
        let mut cache = CacheConfig::new();
        cache.with_directory(std::path::absolute(cache_dir)?);
        let mut config = Config::new();
        config.wasm_component_model_async(true).epoch_interruption(true).cache(Some(Cache::new(cache)?));
        Engine::new(&config)
    };
    let fail =
        |source: wasmtime::Error| Error::Engine { cache: cache_dir.display().to_string(), source: source.into() };
    let engine = make().map_err(fail)?;
    let weak = engine.weak();
    // A thread and not a task: with every worker busy in a component no task would run.
    std::thread::Builder::new()
        .name("ticks".to_owned())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map_err(|error| fail(error.into()))?;
    Ok(engine)
}

/// The interfaces that components may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    sqlite::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    variables::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// What all components share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) connections: Connections,
    pub(crate) database_threads: TaskTracker,
}

/// A compiled component, from which instances are made.
pub(crate) struct Compiled {
    pub(crate) component: Arc<Component>,
    pub(crate) limits: Limits,
    shared: Shared,
    pre: ProxyPre<State>,
}

impl Compiled {
    /// Compiles `component`, or takes it from the cache. Blocks.
    ///
    /// # Errors
    /// [`Error::Component`], naming an import that the host does not have.
    pub(crate) fn new(component: Arc<Component>, shared: Shared, linker: &Linker<State>) -> Result<Self, Error> {
        let compile = || -> wasmtime::Result<_> {
            let compiled = wasmtime::component::Component::from_file(&shared.engine, &component.source)?;
            Ok(ProxyPre::P3(ServicePre::new(linker.instantiate_pre(&compiled)?)?))
        };
        let pre = compile().map_err(|source| load_error(&component, source))?;
        Ok(Self { component, limits: shared.limits, shared, pre })
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Component`].
    pub(crate) async fn instantiate(&self) -> Result<Instance, Error> {
        databases::watch();
        let outbound = Outbound::new(self.component.clone(), self.shared.connections.clone());
        let threads = self.shared.database_threads.clone();
        let state = State::new(&self.component, outbound, self.limits.memory_bytes, threads);
        let mut store = Store::new(&self.shared.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let proxy = self.pre.instantiate_async(&mut store).await;
        Ok(Instance { proxy: proxy.map_err(|source| load_error(&self.component, source))?, store })
    }
}

fn load_error(component: &Component, source: wasmtime::Error) -> Error {
    let path = component.source.display().to_string();
    Error::Component { component: component.name.to_string(), path, source: source.into() }
}
