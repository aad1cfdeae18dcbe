//! What must be on the machine before something is built, and how to get what is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo;

const WASM: &str = "wasm32-wasip2";

/// The tools that the native dependencies are compiled with: librdkafka, OpenSSL, SQLite.
pub(crate) fn native() -> anyhow::Result<()> {
    let missing: Vec<_> = ["cc", "make", "cmake", "perl"].into_iter().filter(|name| !on_path(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "missing: {}. librdkafka, OpenSSL and SQLite are compiled from source. Install them (Debian and Ubuntu: apt \
         install gcc g++ make cmake perl)",
        missing.join(", ")
    )
}

/// Rust's standard library for the components' target, added by rustup where it is not there.
pub(crate) fn wasm_target(root: &Path) -> anyhow::Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root).output();
    let sysroot = sysroot.context("cannot run rustc")?.stdout;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    if sysroot.join("lib/rustlib").join(WASM).is_dir() {
        return Ok(());
    }
    if !on_path("rustup") {
        bail!(
            "Rust's target {WASM} is missing; the functions are built for it. Install Rust by rustup, which adds it, or \
             add it by the package manager that Rust came from"
        );
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", WASM]).current_dir(root);
    cargo::show(rustup).with_context(|| format!("cannot add Rust's target {WASM}, which the functions are built for"))
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
