//! The statements on a real SQLite.

mod accepting;
mod draining;
mod grouping;
mod leasing;
mod opening;
mod pooling;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wiber_model::{Message, NewMessage};

use crate::native::Native;
use crate::{Bounds, Database, Entry, JournalSetting};

const ROOMY: Bounds = Bounds { rows_max: 1_000_000, bytes_max: 1 << 30 };

struct Outbox {
    _folder: TempDir,
    path: PathBuf,
}

impl Outbox {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("outbox.db");
        Self { _folder: folder, path }
    }

    async fn open(&self) -> Database<Native> {
        open(&self.path).await
    }
}

async fn open(path: &Path) -> Database<Native> {
    Database::open(Native::open(path), JournalSetting::Auto).await.unwrap()
}

/// Entry number `n`; equal numbers make equal ids.
fn entry(n: u8) -> Entry {
    let new =
        NewMessage {
            from_user: "alice".into(), to_user: "bob".into(), content: format!("number {n} \0 \"quoted\" é")
        };
    Entry::new(&Message::accept(new, 1_000 + i64::from(n), [n; 10]), None, "request", "trace").unwrap()
}

fn keyed(n: u8, user: &str, key: &str) -> Entry {
    Entry { key: Some((user.into(), key.into())), ..entry(n) }
}
