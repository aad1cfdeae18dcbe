//! Idle connections of one component instance. A connection serves one task at a time, so two statements of one task
//! are never mixed with another's, and no lock is needed that one task would have to wake another from.

use std::cell::RefCell;

use crate::Database;

/// Connections kept open while idle.
const IDLE_MAX: usize = 8;

/// Idle connections.
pub struct Pool<C>(RefCell<Vec<Database<C>>>);

impl<C> Pool<C> {
    /// An empty pool.
    #[must_use]
    pub const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Takes an idle connection out.
    #[must_use]
    pub fn take(&self) -> Option<Database<C>> {
        self.0.borrow_mut().pop()
    }

    /// Puts a connection back. After an error whose outcome is unknown it must be dropped instead: SQLite's view of a
    /// file after a failed fsync is not to be trusted.
    pub fn put(&self, database: Database<C>) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push(database);
        }
    }
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self::new()
    }
}
