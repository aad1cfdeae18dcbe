//! SQLite through rusqlite and tokio's local tasks: the same statements, natively.

use std::cell::Cell;
use std::time::Duration;

use rusqlite::types::ValueRef;
use tokio::time::Instant;

use crate::{Bell, Connection, Value};

pub(crate) struct Native {
    connection: rusqlite::Connection,
    opened: Instant,
    largest_bytes: Cell<usize>,
}

impl Native {
    pub(crate) fn open(path: &std::path::Path) -> Self {
        Self::new(rusqlite::Connection::open(path).unwrap())
    }

    pub(crate) fn in_memory() -> Self {
        Self::new(rusqlite::Connection::open_in_memory().unwrap())
    }

    fn new(connection: rusqlite::Connection) -> Self {
        Self { connection, opened: Instant::now(), largest_bytes: Cell::new(0) }
    }

    /// The longest text that a statement has returned.
    pub(crate) fn largest_bytes(&self) -> usize {
        self.largest_bytes.get()
    }

    fn run(&self, sql: &str, parameters: &[Value]) -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let parameters = parameters.iter().map(|p| match p {
            Value::Null => rusqlite::types::Value::Null,
            Value::Integer(i) => rusqlite::types::Value::Integer(*i),
            Value::Text(t) => rusqlite::types::Value::Text(t.clone()),
        });
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let values: Vec<_> = (0..columns).map(|i| from_ref(row.get_ref(i).unwrap())).collect();
            let longest = values.iter().map(|v| if let Value::Text(text) = v { text.len() } else { 0 }).max();
            self.largest_bytes.set(self.largest_bytes.get().max(longest.unwrap_or(0)));
            out.push(values);
        }
        Ok(out)
    }
}

fn from_ref(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Text(t) => Value::Text(String::from_utf8(t.to_vec()).unwrap()),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
    }
}

impl Connection for Native {
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, String> {
        // Other tasks get a turn here, as they do in a component.
        tokio::task::yield_now().await;
        self.run(sql, parameters).map_err(|e| e.to_string())
    }

    async fn changes(&self) -> u64 {
        self.connection.changes()
    }

    async fn pause(&self, micros: u64) {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap()
    }
}

pub(crate) struct LocalBell;

impl Bell for LocalBell {
    type Ringer = tokio::sync::oneshot::Sender<()>;
    type Listener = tokio::sync::oneshot::Receiver<()>;

    fn new() -> (Self::Ringer, Self::Listener) {
        tokio::sync::oneshot::channel()
    }

    async fn ring_all(ringers: Vec<Self::Ringer>) {
        for ringer in ringers {
            let _ = ringer.send(());
        }
    }

    async fn listen(listener: Self::Listener) {
        let _ = listener.await;
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }
}
