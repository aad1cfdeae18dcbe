//! MongoDB: indexes, the one idempotent write, the look-ups that settle doubts, and the queries. It decides nothing.
//!
//! Entry point: [`Store`]. Writes wait for a journaled majority, reads see majority-committed data on the primary, and
//! everything has a time limit. This module knows nothing of Kafka clients, HTTP or metrics.

mod audit;
mod dead_letter;
mod document;
mod error;
mod letters;
mod limits;
mod lookup;
mod meta;
mod prepare;
mod query;
mod together;
mod write;

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Document;
use mongodb::options::{Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::config;
use together::Together;

pub use audit::{Found, IDS_MAX, Scan, Scope};
pub use dead_letter::DeadLetter;
pub use document::{Hops, MessageDocument, Origin, Place, Trace};
pub use error::Error;
pub use letters::{Letter, LetterFilter, Letters, Row};
pub use lookup::{Known, KnownMessage};
pub use meta::{Gap, GapReason, NewGap, Resent, SentRun, Topic};
pub use query::{Page, Question};
pub use write::{Doubt, Outcome};

const DEAD_LETTERS: &str = "dead_letters";
const META: &str = "meta";

/// The database. Cloning is cheap; making one needs no reachable server.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    database: Database,
    messages: Collection<MessageDocument>,
    dead_letters: Collection<Document>,
    meta: Collection<Document>,
    write_limit: Duration,
    together: Arc<Together>,
}

impl Store {
    /// Reads the connection string and sets up the client, which connects on first use.
    ///
    /// # Errors
    /// If `MONGO_URI` cannot be used.
    pub async fn new(config: &config::Mongo) -> Result<Self, Error> {
        let mut options = ClientOptions::parse(config.uri.expose()).await.map_err(Error::Uri)?;
        options.app_name.get_or_insert_with(|| "wiber-bridge".to_owned());
        options.connect_timeout.get_or_insert(limits::CONNECT);
        options.server_selection_timeout.get_or_insert(limits::SERVER_SELECTION);
        options.max_pool_size.get_or_insert(limits::POOL_CONNECTIONS_MAX);
        let client = Client::with_options(options).map_err(Error::Uri)?;
        let database = client.database(&config.database);
        let settled = durable(config.write_timeout);
        Ok(Self {
            messages: database.collection_with_options(&config.collection, settled.clone()),
            dead_letters: database.collection_with_options(DEAD_LETTERS, settled.clone()),
            meta: database.collection_with_options(META, settled),
            write_limit: config.write_timeout + limits::WRITE_MARGIN,
            together: Arc::new(Together::new()),
            client,
            database,
        })
    }
}

fn durable(write_timeout: Duration) -> CollectionOptions {
    let mut write = WriteConcern::default();
    write.w = Some(Acknowledgment::Majority);
    write.journal = Some(true);
    write.w_timeout = Some(write_timeout);
    CollectionOptions::builder().write_concern(write).read_concern(ReadConcern::majority()).build()
}
