//! The one thing this crate asks of SQLite.

/// A parameter or a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// TEXT.
    Text(String),
}

impl Value {
    /// The integer, or 0 for NULL and text.
    #[must_use]
    pub fn integer(&self) -> i64 {
        if let Self::Integer(value) = self { *value } else { 0 }
    }

    /// The text, or "" for anything else.
    #[must_use]
    pub fn into_text(self) -> String {
        if let Self::Text(value) = self { value } else { String::new() }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A connection to one SQLite database. Used by one task at a time.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Connection {
    /// Runs one statement to its end and returns its rows. The returned Ok means that the statement has finished, with
    /// its implicit transaction committed.
    ///
    /// # Errors
    /// SQLite's own text; [`crate::Error::classify`] gives it a meaning.
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, String>;

    /// Rows changed by the last statement.
    async fn changes(&self) -> u64;

    /// Waits, outside SQLite, before a locked statement is tried again.
    async fn pause(&self, micros: u64);

    /// Milliseconds of a clock that never jumps.
    fn monotonic_ms(&self) -> u64;
}
