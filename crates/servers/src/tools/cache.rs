//! A folder that is filled once: whole or not at all, also when two processes want it or one is killed half-way.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::Error;

/// The folder `name` of `cache`, filled by `fill` unless it is there already.
pub(super) async fn once<F: Future<Output = Result<(), Error>>>(
    cache: &Path,
    name: &str,
    fill: impl FnOnce(PathBuf) -> F,
) -> Result<PathBuf, Error> {
    let ready = cache.join(name);
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(cache).map_err(Error::io("create", cache))?;
    let _lock = lock(&cache.join(format!("{name}.lock"))).await?;
    // Another process may have filled it while this one waited.
    if ready.is_dir() {
        return Ok(ready);
    }
    let filling = cache.join(format!("{name}.part"));
    if filling.exists() {
        fs::remove_dir_all(&filling).map_err(Error::io("remove", &filling))?;
    }
    fs::create_dir_all(&filling).map_err(Error::io("create", &filling))?;
    fill(filling.clone()).await?;
    fs::rename(&filling, &ready).map_err(Error::io("rename", &filling))?;
    Ok(ready)
}

/// Held until dropped; the kernel drops it with the process too.
async fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(Error::io("create", path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A blocking wait on a worker thread could not be given up on Ctrl-C.
            Err(TryLockError::WouldBlock) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_folder_is_filled_once_by_many_and_again_after_a_failure() {
        let cache = tempfile::tempdir().unwrap();
        let fills = AtomicU32::new(0);
        let failed = once(cache.path(), "x", async |folder: PathBuf| {
            fs::write(folder.join("half"), "").unwrap();
            Err(Error::State { name: "x".into(), state: "broken" })
        });
        assert!(failed.await.is_err());
        let fill = async |folder: PathBuf| {
            assert!(!folder.join("half").exists());
            fills.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(())
        };
        let (one, two) = tokio::join!(once(cache.path(), "x", fill), once(cache.path(), "x", fill));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(fills.into_inner(), 1);
    }
}
