//! A second way to look into MongoDB, past the bridge.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection, Database};

/// As many as the bridge keeps, so that a benchmark of MongoDB alone is not held back.
const CONNECTIONS: u32 = 64;

/// One test's database.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Connects to the MongoDB at `uri`.
    ///
    /// # Panics
    /// If it is not one.
    pub async fn connect(uri: &str, database: &str) -> Self {
        let mut options = ClientOptions::parse(uri).await.expect("the harness builds a valid URI");
        options.max_pool_size = Some(CONNECTIONS);
        let client = Client::with_options(options).expect("the harness builds a valid URI");
        Self { database: client.database(database) }
    }

    /// The stored messages, in no order.
    pub async fn messages(&self) -> Vec<Document> {
        self.all("messages").await
    }

    /// The dead letters, in no order.
    pub async fn dead_letters(&self) -> Vec<Document> {
        self.all("dead_letters").await
    }

    /// One stored message by its id.
    ///
    /// # Panics
    /// If MongoDB does not answer.
    pub async fn message(&self, id: &str) -> Option<Document> {
        self.collection("messages").find_one(doc! { "_id": id }).await.expect("MongoDB answers")
    }

    /// A collection by its name.
    #[must_use]
    pub fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// The database itself, for commands.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    async fn all(&self, name: &str) -> Vec<Document> {
        let cursor = self.collection(name).find(doc! {}).await.expect("MongoDB answers");
        cursor.try_collect().await.expect("MongoDB answers")
    }
}

/// A URI that speaks to exactly this address, so that a proxy before a member is not bypassed by discovery.
#[must_use]
pub fn uri(address: &str) -> String {
    format!("mongodb://{address}/?directConnection=true")
}
