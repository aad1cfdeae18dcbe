//! The folder of one run of the tests: servers' data, outboxes, logs.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

const PREFIX: &str = "wiber-tests-";
/// How long the folders of a failed run are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    sweep();
    let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    if let Err(error) = std::fs::create_dir_all(&folder) {
        panic!("cannot create {}: {error}", folder.display());
    }
    folder
});
static KEEP: AtomicBool = AtomicBool::new(false);

/// The run's folder, made at first use.
#[must_use]
pub fn folder() -> &'static Path {
    &FOLDER
}

/// A new folder in the run's.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn subfolder(name: &str) -> PathBuf {
    let folder = folder().join(name);
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    folder
}

/// Keeps what the run wrote, for a person to look at.
pub fn keep() {
    KEEP.store(true, Ordering::Relaxed);
}

/// Whether something is to be kept.
#[must_use]
pub fn is_kept() -> bool {
    KEEP.load(Ordering::Relaxed)
}

/// Removes the run's folder unless something in it is to be kept.
pub fn clean() {
    if !is_kept() && std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())).exists() {
        let _ = std::fs::remove_dir_all(folder());
    }
}

/// Removes folders of runs that have ended: those of killed runs after a while, so that a failure can still be read.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let running = Path::new("/proc").join(pid).exists();
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT));
        if !running && old {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
