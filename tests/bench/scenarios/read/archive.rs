//! Documents written past Wiber, of the shape that it gives them, so that millions are there in minutes.

use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;
use tokio::task::JoinSet;
use wiber_model::Conversation;
use wiber_servers::progress::Progress;
use wiber_tests::mongo::Store;
use wiber_tests::send;

use crate::machine;

/// Messages of an ordinary conversation.
const LENGTH: u64 = 100;
/// The most of the one that is long.
const LONG_MAX: u64 = 1_000_000;
/// Documents in one write.
const WRITE: u64 = 5_000;
const WRITERS: usize = 3;
const LONG: (&str, &str) = ("long-a", "long-b");
/// When the first was sent, Unix milliseconds.
const BEGIN_MS: i64 = 1_758_865_780_040;

/// What has been written: every other message is of the long conversation until that is full.
pub(super) struct Archive {
    store: Store,
    /// Messages of ordinary conversations.
    ordinary: u64,
    long: u64,
}

impl Archive {
    pub(super) fn new(store: &Store) -> Self {
        Self { store: store.clone(), ordinary: 0, long: 0 }
    }

    /// How many ordinary conversations there are.
    pub(super) fn conversations(&self) -> u64 {
        self.ordinary / LENGTH
    }

    /// How long the long one is.
    pub(super) fn long(&self) -> u64 {
        self.long
    }

    /// Writes until so many are stored, a multiple of 10,000, and waits, for a minute at most, until MongoDB has done with
    /// it: what it still owes the disk would be paid by those who read.
    ///
    /// # Errors
    /// If MongoDB does not take them.
    pub(super) async fn grow_to(&mut self, volume: u64) -> anyhow::Result<()> {
        let long = (volume / 2).min(LONG_MAX);
        let task = Progress::new().task(format!("storing {volume} messages"));
        let (ordinary, all) = (volume - long, volume - self.ordinary - self.long);
        let mut ranges: Vec<(bool, u64, u64)> = Vec::new();
        for (is_long, from, to) in [(true, self.long, long), (false, self.ordinary, ordinary)] {
            // Writers at the same time are far apart: MongoDB, which looks for a duplicate in the unique index, walks over all
            // that others have put behind the key since its own snapshot.
            let begins: Vec<u64> = (from..to).step_by(WRITE as usize).collect();
            let part = begins.len().div_ceil(WRITERS);
            let apart = (0..part).flat_map(|first| begins.iter().skip(first).step_by(part));
            ranges.extend(apart.map(|at| (is_long, *at, (at + WRITE).min(to))));
        }
        let (mut writers, mut done) = (JoinSet::new(), 0);
        for range in ranges {
            if writers.len() >= WRITERS {
                done += writers.join_next().await.transpose()?.transpose()?.unwrap_or(0);
                task.at(done, all);
            }
            writers.spawn(write(self.store.clone(), range));
        }
        while let Some(written) = writers.join_next().await {
            written??;
        }
        (self.ordinary, self.long) = (ordinary, long);
        self.store.database().client().database("admin").run_command(doc! { "fsync": 1 }).await?;
        machine::rests().await;
        task.done("");
        Ok(())
    }
}

/// Where an ordinary conversation is read.
pub(super) fn path(number: u64) -> String {
    let (one, other) = users(number);
    send::path(&one, &other)
}

/// The key of that conversation.
pub(super) fn key(number: u64) -> String {
    let (one, other) = users(number);
    Conversation::of(&one, &other).as_str().to_owned()
}

/// Where the long conversation is read.
pub(super) fn long_path() -> String {
    send::path(LONG.0, LONG.1)
}

fn users(number: u64) -> (String, String) {
    (format!("a{number}"), format!("b{number}"))
}

async fn write(store: Store, (is_long, from, to): (bool, u64, u64)) -> anyhow::Result<u64> {
    let documents: Vec<Document> = (from..to).map(|number| document(is_long, number)).collect();
    // What is lost in a crash is a measurement.
    let quick = WriteConcern::builder().w(mongodb::options::Acknowledgment::Nodes(1)).journal(false).build();
    store.collection("messages").insert_many(documents).ordered(false).write_concern(quick).await?;
    Ok(to - from)
}

fn document(is_long: bool, number: u64) -> Document {
    let (from, to) = if is_long { (LONG.0.to_owned(), LONG.1.to_owned()) } else { users(number / LENGTH) };
    let seq = if is_long { number } else { number % LENGTH } as i64 + 1;
    let at = BEGIN_MS + number as i64;
    let conversation = Conversation::of(&from, &to).as_str().to_owned();
    doc! {
        "_id": format!("msg_{at}_{:019x}{}", number, u8::from(is_long)),
        "conversation": conversation,
        "seq": seq,
        "fromUser": &from,
        "toUser": &to,
        "participants": [&from, &to],
        "content": "x".repeat(100),
        "timestamp": at,
        "createdAt": "2025-09-26T05:49:40.040Z",
        "log": { "topic": "archive", "partition": 0, "offset": number as i64 },
        "hops": { "acceptedAt": at, "publishedAt": at + 1, "storedAt": at + 2 },
        "trace": { "source": "/wiber/outbox/archive", "sequence": number as i64 + 1 },
    }
}
