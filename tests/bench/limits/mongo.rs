//! MongoDB alone: how many of the same documents a second it stores durably, with the same indexes.

use std::time::Instant;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::options::{IndexOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use tokio::task::JoinSet;
use wiber_tests::mongo::Store;

/// Documents in one `insert_many`.
const BATCH: usize = 1_000;
/// Batches written at once.
const WRITERS: usize = 4;

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

async fn write(collection: Collection<Document>, batches: Vec<Vec<Document>>) -> mongodb::error::Result<()> {
    let durable = WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).journal(true).build();
    for batch in batches {
        collection.insert_many(batch).write_concern(durable.clone()).await?;
    }
    Ok(())
}
