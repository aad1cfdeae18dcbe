//! The statements on a real SQLite.

mod accepting;
mod batches;
mod draining;
mod grouping;
mod leasing;
mod opening;
mod pooling;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wiber_model::{Message, NewMessage};

use crate::native::Native;
use crate::{Batch, Bounds, Database, Entry, Form, JournalSetting, Key};

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
    Entry::new(&Message::accept(new, 1_000 + i64::from(n), [n; 10])).unwrap()
}

/// These entries together.
fn batch(numbers: impl IntoIterator<Item = u8>) -> Batch {
    let entries = numbers.into_iter().map(entry).collect();
    Batch { entries, key: None, request_id: "request".into(), traceparent: "trace".into() }
}

/// Entry number `n` alone.
fn one(n: u8) -> Batch {
    batch([n])
}

/// Entry number `n` alone, with a key.
fn keyed(n: u8, user: &str, key: &str) -> Batch {
    with_key(one(n), user, key, Form::Single)
}

/// The entries as an array with a key.
fn keyed_array(numbers: impl IntoIterator<Item = u8>, user: &str, key: &str) -> Batch {
    with_key(batch(numbers), user, key, Form::Array)
}

fn with_key(batch: Batch, user: &str, key: &str, form: Form) -> Batch {
    Batch { key: Some(Key { user: user.into(), key: key.into(), form }), ..batch }
}
