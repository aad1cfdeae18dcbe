//! Idle connections of one component instance. A connection serves one task at a time, so two statements of one task
//! are never mixed with another's, and no lock is needed that one task would have to wake another from.

use std::cell::RefCell;

use crate::{Connection, Database, Error};

/// Connections kept open while idle.
const IDLE_MAX: usize = 8;

/// Idle connections.
pub struct Pool<C> {
    age_ms_max: u64,
    idle: RefCell<Vec<Database<C>>>,
    /// The id of the file that was opened last.
    outbox_id: RefCell<String>,
}

impl<C: Connection> Pool<C> {
    /// An empty pool. A connection keeps the file that it opened, also once another has its name, and whatever is written
    /// to it then is lost. So one that was opened `age_ms_max` milliseconds ago is not used again: its successor opens the
    /// file by its name.
    #[must_use]
    pub const fn new(age_ms_max: u64) -> Self {
        Self { age_ms_max, idle: RefCell::new(Vec::new()), outbox_id: RefCell::new(String::new()) }
    }

    /// Takes an idle connection out, or opens one.
    ///
    /// # Errors
    /// Those of `open`; and once [`Error::NotDurable`] where it finds another file than the last time, so that somebody
    /// is told. What comes after that works on the new file.
    pub async fn take(&self, open: impl AsyncFnOnce() -> Result<Database<C>, Error>) -> Result<Database<C>, Error> {
        let aged = match self.idle.borrow_mut().pop() {
            Some(database) if database.age_ms() < self.age_ms_max => return Ok(database),
            aged => aged,
        };
        let opened = open().await?;
        // Not before: in WAL mode the last connection that closes writes the whole log back.
        drop(aged);
        let known = self.outbox_id.replace(opened.outbox_id().to_owned());
        if known.is_empty() || known == opened.outbox_id() {
            return Ok(opened);
        }
        self.idle.borrow_mut().clear();
        Err(Error::NotDurable(format!(
            "the outbox file was removed or replaced while in use; what it still held is lost with it (outbox {known})"
        )))
    }

    /// Whether no file was opened yet.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.outbox_id.borrow().is_empty()
    }

    /// Puts a connection back, unless another file has been opened meanwhile. After an error whose outcome is unknown it
    /// must be dropped instead: SQLite's view of a file after a failed fsync is not to be trusted.
    pub fn put(&self, database: Database<C>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX && *self.outbox_id.borrow() == database.outbox_id() {
            idle.push(database);
        }
    }
}
