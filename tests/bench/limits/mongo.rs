//! MongoDB alone: how many of the same documents a second it stores durably, with the same indexes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{Hint, IndexOptions, ReadConcern, WriteConcern};
use mongodb::{Collection, IndexModel};
use tokio::task::JoinSet;
use wiber_tests::mongo::Store;

/// Documents in one `insert_many`.
const BATCH: usize = 1_000;
/// Batches written at once.
const WRITERS: usize = 4;
/// Pages asked for at once, how long, and how long beforehand.
const READERS: usize = 64;
const READING: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(2);

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

/// How many pages of 50 are read a second by the query that Wiber makes, of the conversations that `key` names for a
/// reader and the number of its question; nothing is done with them.
///
/// # Errors
/// If MongoDB does not answer.
pub(crate) async fn pages(store: &Store, key: fn(u64, u64, u64) -> String, of: u64) -> anyhow::Result<f64> {
    let collection = store.database().collection::<RawDocumentBuf>("messages");
    let (asked, began) = (Arc::new(AtomicU64::new(0)), Instant::now() + WARM_UP);
    let mut readers = JoinSet::new();
    for reader in 0..READERS as u64 {
        let (collection, asked) = (collection.clone(), Arc::clone(&asked));
        readers.spawn(async move {
            let mut count = 0;
            while Instant::now() < began + READING {
                let page = page(&collection, &key(reader, count, of)).await?;
                anyhow::ensure!(!page.is_empty(), "a conversation is empty");
                count += 1;
                asked.fetch_add(u64::from(Instant::now() >= began), Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(asked.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

async fn page(collection: &Collection<RawDocumentBuf>, key: &str) -> anyhow::Result<Vec<RawDocumentBuf>> {
    let shown = doc! { "fromUser": 1, "toUser": 1, "content": 1, "timestamp": 1, "createdAt": 1, "seq": 1 };
    let find = collection.find(doc! { "conversation": key }).sort(doc! { "seq": 1 }).limit(51).batch_size(51);
    let index = Hint::Keys(doc! { "conversation": 1, "seq": 1 });
    let find = find.projection(shown).hint(index).read_concern(ReadConcern::majority());
    Ok(find.await?.try_collect().await?)
}

async fn write(collection: Collection<Document>, batches: Vec<Vec<Document>>) -> mongodb::error::Result<()> {
    let durable = WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build();
    for batch in batches {
        collection.insert_many(batch).write_concern(durable.clone()).await?;
    }
    Ok(())
}
