//! The disk: how many times a second one page can be made durable.

use std::convert::Infallible;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::time::MissedTickBehavior;

const PAGE: [u8; 4096] = [7; 4096];
/// Pages that are written over and over, laid out before, so that the file does not grow.
const PAGES: u64 = 1024;

/// A file of its own, gone once this is dropped.
pub(crate) struct Pages {
    path: PathBuf,
    file: File,
    written: AtomicU64,
}

impl Pages {
    /// Lays the pages out.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn create(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("limit.tmp");
        let pages = Self { file: File::create(&path)?, path, written: AtomicU64::new(0) };
        (0..PAGES).try_for_each(|_| pages.write())?;
        pages.file.sync_all()?;
        Ok(pages)
    }

    /// Writes a page and makes it durable by `fdatasync`.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn sync_one(&self) -> std::io::Result<()> {
        self.write()?;
        self.file.sync_data()
    }

    fn write(&self) -> std::io::Result<()> {
        let at = self.written.fetch_add(1, Ordering::Relaxed) % PAGES;
        self.file.write_all_at(&PAGE, at * PAGE.len() as u64)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes of a page followed by `fdatasync`, a second, one after the other.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) async fn syncs(folder: &Path, measured: Duration) -> anyhow::Result<f64> {
    let pages = Pages::create(folder)?;
    let counted = tokio::task::spawn_blocking(move || {
        let (began, mut count) = (Instant::now(), 0_u64);
        while began.elapsed() < measured {
            pages.sync_one()?;
            count += 1;
        }
        Ok::<_, std::io::Error>(count)
    });
    Ok(counted.await?? as f64 / measured.as_secs_f64())
}

/// Flushes a page each `every` while `work` is done; how long each took, microseconds.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) async fn beside<T>(
    folder: &Path,
    every: Duration,
    work: impl Future<Output = T>,
) -> anyhow::Result<(T, Histogram<u64>)> {
    let pages = Arc::new(Pages::create(folder)?);
    let mut took = Histogram::new(3)?;
    let mut flushing = async || -> anyhow::Result<Infallible> {
        let mut clock = tokio::time::interval(every);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let pages = pages.clone();
            let flushed = tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                pages.sync_one().map(|()| began.elapsed())
            });
            took.record(u64::try_from(flushed.await??.as_micros())?)?;
        }
    };
    let done = tokio::select! {
        done = work => done,
        Err(error) = flushing() => return Err(error),
    };
    Ok((done, took))
}
