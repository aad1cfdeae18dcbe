//! Rust side of `wit/`: the two Spin interfaces. `wasi:*` comes from wasmtime's own crates.

#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "wiber:host/imports",
    imports: {
        "spin:sqlite/sqlite.[drop]connection": trappable,
        default: trappable,
    },
    with: { "spin:sqlite/sqlite.connection": crate::sqlite::Connection },
});

pub(crate) use spin::{sqlite::sqlite, variables::variables};
