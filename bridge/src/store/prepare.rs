//! What must hold before anything is written: a replica set, and the indexes that the guarantees rest on.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

use super::error::within;
use super::{Error, Store, limits};
use crate::backoff::Backoff;
use crate::status::Board;

/// Order within a conversation, and its uniqueness.
pub(super) fn by_conversation() -> Document {
    doc! { "conversation": 1, "seq": 1 }
}

/// A user's messages, newest first.
pub(super) fn by_participant() -> Document {
    doc! { "participants": 1, "timestamp": -1, "_id": -1 }
}

/// The index that every collection has.
pub(super) fn by_id() -> Document {
    doc! { "_id": 1 }
}

const NOTE: &str = "store";

impl Store {
    /// Waits for a replica set and its indexes, which both who writes and who asks need; `false` if shutdown came first.
    pub async fn prepared(&self, board: &Board, shutdown: &CancellationToken) -> bool {
        let mut backoff = Backoff::for_servers();
        loop {
            match shutdown.run_until_cancelled(self.prepare()).await {
                None => return false,
                Some(Ok(())) => {
                    board.clear_note(NOTE);
                    return true;
                }
                Some(Err(error)) => board.set_note(NOTE, format!("nothing is stored or found yet: {error}")),
            }
            if !backoff.wait(shutdown).await {
                return false;
            }
        }
    }

    /// Checks that the server is a member of a replica set and makes the indexes where they are missing. Callers repeat
    /// it with backoff until it succeeds.
    ///
    /// # Errors
    /// If no primary answers, the server is a standalone, or an index of another shape is in the way.
    pub async fn prepare(&self) -> Result<(), Error> {
        let hello = self.hello().await?;
        if hello.get_str("setName").is_err() {
            let host = hello.get_str("me").unwrap_or("a standalone mongod or a mongos").to_owned();
            return Err(Error::NotReplicaSet { host });
        }
        let unique = mongodb::options::IndexOptions::builder().unique(true).build();
        let indexes = [
            IndexModel::builder().keys(by_conversation()).options(unique).build(),
            IndexModel::builder().keys(by_participant()).build(),
        ];
        within("making the indexes", limits::PREPARE, async { self.messages.create_indexes(indexes).await }).await?;
        let sparse = mongodb::options::IndexOptions::builder().sparse(true).build();
        let replayed = IndexModel::builder().keys(doc! { "replayedAt": 1 }).options(sparse).build();
        within("making the indexes", limits::PREPARE, async { self.dead_letters.create_index(replayed).await }).await?;
        Ok(())
    }

    /// Asks the primary for a sign of life.
    ///
    /// # Errors
    /// If none answers in time.
    pub async fn ping(&self) -> Result<(), Error> {
        let command = self.database.run_command(doc! { "ping": 1 });
        within("a sign of life", limits::PING, async { command.await }).await.map(drop)
    }

    async fn hello(&self) -> Result<Document, Error> {
        let admin = self.client.database("admin");
        within("the greeting", limits::LOOKUP, async { admin.run_command(doc! { "hello": 1 }).await }).await
    }
}
