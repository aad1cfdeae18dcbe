//! The outbox database, for the components that open it: how it is opened and judged durable, its schema, its
//! statements, what its errors mean, and the group commit that lets many sends share one fsync.
//!
//! Entry points: [`Database::open`], [`Database::open_read_only`], [`Committer`].
//! It knows SQLite only through [`Connection`]; time and randomness are passed in; it knows nothing of HTTP.
//! Every write is one statement, and no transaction spans an await: a component may be dropped at any of them.

mod accept;
mod connection;
mod drain;
mod error;
mod expire;
mod group;
mod journal;
mod lookup;
mod open;
mod pool;
mod schema;

#[cfg(target_family = "wasm")]
pub mod spin;

#[cfg(test)]
mod native;
#[cfg(test)]
mod tests;

pub use accept::{Batch, Bounds, Earlier, Entry, Form, Key};
pub use connection::{Connection, Value};
pub use drain::Lease;
pub use error::Error;
pub use group::{Bell, Committer, Source};
pub use journal::JournalSetting;
pub use lookup::{Depth, Found};
pub use open::Database;
pub use pool::Pool;

/// The database's label in `spin.toml` and `runtime-config.toml`.
pub const LABEL: &str = "outbox";
