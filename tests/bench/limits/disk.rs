//! The disk: how many times a second one page can be made durable.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// Pages that are written over and over, laid out before, so that the file does not grow.
const PAGES: u64 = 1024;

/// Writes of a page followed by `fdatasync`, a second, one after the other.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) async fn syncs(folder: &Path, measured: Duration) -> anyhow::Result<f64> {
    let path = folder.join("limit.tmp");
    let counted = tokio::task::spawn_blocking(move || {
        let counted = write(&path, measured);
        let _ = std::fs::remove_file(&path);
        counted
    });
    Ok(counted.await?? as f64 / measured.as_secs_f64())
}

fn write(path: &Path, measured: Duration) -> std::io::Result<u64> {
    let mut file = File::create(path)?;
    let page = vec![7_u8; PAGE];
    (0..PAGES).try_for_each(|_| file.write_all(&page))?;
    file.sync_all()?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < measured {
        file.seek(SeekFrom::Start(count % PAGES * PAGE as u64))?;
        file.write_all(&page)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count)
}
