//! MongoDB alone: how many of the same documents a second it stores durably, with the same indexes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{IndexOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use tokio::task::JoinSet;
use wiber_tests::mongo::Store;

/// Documents in one `insert_many`.
const BATCH: usize = 1_000;
/// Batches written at once.
const WRITERS: usize = 4;
/// Pages asked for at once, for how long, and of how many conversations.
const READERS: usize = 64;
const READING: Duration = Duration::from_secs(3);
const KEYS: u64 = 1_000;
/// Prime to every number of conversations, so that they lie apart.
const STEP: u64 = 7_919;

/// Up to `count` of the stored messages, as they are.
///
/// # Errors
/// If MongoDB does not answer.
pub(crate) async fn documents(store: &Store, count: u64) -> anyhow::Result<Vec<Document>> {
    let cursor = store.collection("messages").find(doc! {}).limit(i64::try_from(count)?).await?;
    cursor.try_collect().await.context("reading the stored messages")
}

/// Stores the documents in a collection of their own, by majority and journaled, and returns how many a second.
///
/// # Errors
/// If MongoDB does not take them.
pub(crate) async fn inserted(store: &Store, documents: Vec<Document>) -> anyhow::Result<f64> {
    let collection = store.collection("limit");
    collection.drop().await?;
    let unique = IndexOptions::builder().unique(true).build();
    let indexes = [
        IndexModel::builder().keys(doc! { "conversation": 1, "seq": 1 }).options(unique).build(),
        IndexModel::builder().keys(doc! { "participants": 1, "timestamp": -1, "_id": -1 }).build(),
    ];
    collection.create_indexes(indexes).await?;
    let count = documents.len();
    let mut shares: Vec<Vec<Vec<Document>>> = vec![Vec::new(); WRITERS];
    let mut documents = documents.into_iter().peekable();
    for turn in (0..WRITERS).cycle() {
        if documents.peek().is_none() {
            break;
        }
        shares[turn].push(documents.by_ref().take(BATCH).collect());
    }
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for share in shares {
        writers.spawn(write(collection.clone(), share));
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// How many pages of 50 of the conversations that `key` names are read a second, by the index that Wiber uses, and nothing
/// is done with them.
///
/// # Errors
/// If MongoDB does not answer.
pub(crate) async fn pages(store: &Store, key: impl Fn(u64) -> String) -> anyhow::Result<f64> {
    let collection = store.database().collection::<RawDocumentBuf>("messages");
    let (asked, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let keys: Vec<String> = (0..KEYS).map(|number| key(number * STEP)).collect();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (collection, asked, keys) = (collection.clone(), Arc::clone(&asked), keys.clone());
        readers.spawn(async move {
            while began.elapsed() < READING {
                let number = asked.fetch_add(1, Ordering::Relaxed) % KEYS;
                let filter = doc! { "conversation": &keys[usize::try_from(number)?] };
                let find = collection.find(filter).sort(doc! { "seq": 1 }).limit(50);
                let page: Vec<RawDocumentBuf> = find.await?.try_collect().await?;
                anyhow::ensure!(!page.is_empty(), "a conversation is empty");
            }
            Ok(())
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(asked.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

async fn write(collection: Collection<Document>, batches: Vec<Vec<Document>>) -> mongodb::error::Result<()> {
    let durable = WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build();
    for batch in batches {
        collection.insert_many(batch).write_concern(durable.clone()).await?;
    }
    Ok(())
}
