//! SQLite and task switching as a Spin component has them.

use std::time::{Duration, Instant};

use spin_sdk::sqlite::{Connection as SpinConnection, Error as SpinError, Value as SpinValue};
use spin_sdk::wasip3::wit_bindgen::{StreamReader, StreamWriter};
use spin_sdk::wasip3::wit_stream;

use crate::{Bell, Connection, Error, LABEL, Value};

/// A connection through `spin:sqlite`.
pub struct Spin {
    connection: SpinConnection,
    opened: Instant,
}

impl Spin {
    /// Opens the outbox database.
    ///
    /// # Errors
    /// If the component has no grant, or the host no such database.
    pub async fn open() -> Result<Self, Error> {
        let connection = SpinConnection::open(LABEL).await.map_err(|e| Error::classify(&text(e)))?;
        Ok(Self { connection, opened: Instant::now() })
    }
}

impl Connection for Spin {
    async fn execute(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, String> {
        let parameters: Vec<SpinValue> = parameters.iter().cloned().map(to_spin).collect();
        // `execute` answers after the statement was prepared; only `collect` waits for its commit.
        let rows = self.connection.execute(sql, parameters).await.map_err(text)?.collect().await.map_err(text)?;
        Ok(rows.into_iter().map(|row| row.values.into_iter().map(from_spin).collect()).collect())
    }

    async fn changes(&self) -> u64 {
        self.connection.changes().await
    }

    async fn pause(&self, micros: u64) {
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn text(error: SpinError) -> String {
    match error {
        SpinError::Io(text) => text,
        SpinError::AccessDenied => "access denied: spin.toml grants this component no database".to_owned(),
        SpinError::NoSuchDatabase => format!("no such database: {LABEL} is missing in the runtime configuration"),
        SpinError::InvalidConnection => "invalid connection".to_owned(),
        SpinError::DatabaseFull => "database or disk is full".to_owned(),
    }
}

fn to_spin(value: Value) -> SpinValue {
    match value {
        Value::Null => SpinValue::Null,
        Value::Integer(value) => SpinValue::Integer(value),
        Value::Text(value) => SpinValue::Text(value),
    }
}

fn from_spin(value: SpinValue) -> Value {
    match value {
        SpinValue::Integer(value) => Value::Integer(value),
        SpinValue::Text(value) => Value::Text(value),
        SpinValue::Null | SpinValue::Real(_) | SpinValue::Blob(_) => Value::Null,
    }
}

/// Wakes a task of another request through a stream within the component: the only way that works on every host.
pub struct StreamBell;

impl Bell for StreamBell {
    type Ringer = StreamWriter<u8>;
    type Listener = StreamReader<u8>;

    fn new() -> (Self::Ringer, Self::Listener) {
        wit_stream::new()
    }

    async fn ring_all(ringers: Vec<Self::Ringer>) {
        futures::future::join_all(ringers.into_iter().map(|mut ringer| async move {
            ringer.write_all(vec![1]).await;
        }))
        .await;
    }

    async fn listen(mut listener: Self::Listener) {
        listener.next().await;
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        spin_sdk::wasip3::spawn(task);
    }
}
