//! One instance of a component: its store's state, with the grants and the memory limit.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::Proxy;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::Component;
use crate::outbound::Outbound;
use crate::stdio::GuestOutput;

/// A component's instance.
pub(crate) struct Instance {
    pub(crate) store: Store<State>,
    pub(crate) proxy: Proxy,
}

/// What the host keeps for one instance.
pub(crate) struct State {
    pub(crate) component: Arc<Component>,
    pub(crate) table: ResourceTable,
    pub(crate) limits: StoreLimits,
    /// Database connections open now.
    pub(crate) connections: usize,
    /// Awaits the threads of all connections.
    pub(crate) database_threads: TaskTracker,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl State {
    pub(crate) fn new(
        component: &Arc<Component>,
        outbound: Outbound,
        memory_bytes: usize,
        database_threads: TaskTracker,
    ) -> Self {
        let name = &component.name;
        let wasi = WasiCtx::builder()
            .stdout(GuestOutput::new(name.clone(), "stdout"))
            .stderr(GuestOutput::new(name.clone(), "stderr"))
            .build();
        Self {
            component: component.clone(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new().memory_size(memory_bytes).build(),
            connections: 0,
            database_threads,
            wasi,
            http: WasiHttpCtx::new(),
            outbound,
        }
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
