//! Where the programs under test lie.

use std::path::{Path, PathBuf};

/// Names another folder with `wiber-host`, `wiber-bridge` and `wiber`.
const BIN_DIR: &str = "WIBER_BIN_DIR";

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The program `name`, which `cargo xtask test` built.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`, which builds it", path.display());
    path
}

/// Checks that the components are built.
///
/// # Panics
/// If one is missing.
pub fn check_components() {
    for name in ["send", "fetch", "outbox", "status"] {
        let path = repository().join("target/components").join(name).with_extension("wasm");
        assert!(path.is_file(), "{} is missing: run `cargo xtask test`, which builds it", path.display());
    }
}

/// Spin, where it is on the PATH.
#[must_use]
pub fn spin() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("spin")).find(|file| file.is_file())
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os(BIN_DIR) {
        return PathBuf::from(folder);
    }
    // The test's own program is target/debug/deps/it-….
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}
