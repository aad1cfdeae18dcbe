//! One SQLite connection on a thread of its own: SQLite blocks, in fsync above all, and the async workers must not.
//! Statements run one after the other in the order in which they were asked for.

use std::sync::mpsc as channel;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{Value as SqlValue, ValueRef};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::fault;
use crate::app::Location;
use crate::bindings::sqlite::{Error, RowResult, Value};

/// Prepared statements kept for each connection.
const STATEMENTS_CACHED: usize = 64;
/// Rows, and bytes of rows, that go to the component together.
const CHUNK_ROWS: usize = 128;
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a component that reads slowly.
const CHUNKS_WAITING: usize = 4;
/// Largest row, in bytes, as in Spin.
const ROW_BYTES_MAX: usize = 128 << 20;

type Job = Box<dyn FnOnce(&mut Handle) + Send>;

/// A component's connection. Dropping it ends the thread after the statement that runs.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    jobs: channel::Sender<Job>,
}

/// A statement under way: the columns once it is prepared, then rows, then the result.
pub(super) struct Query {
    pub(super) columns: oneshot::Receiver<Result<Vec<String>, Error>>,
    pub(super) rows: mpsc::Receiver<Vec<RowResult>>,
    pub(super) result: oneshot::Receiver<Result<(), Error>>,
}

impl Connection {
    /// Starts the thread; `token` lives as long as it.
    pub(super) fn open(location: Location, token: TaskTrackerToken) -> std::io::Result<Self> {
        let (jobs, queue) = channel::channel::<Job>();
        std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || {
            let mut handle = Handle { location, connection: None };
            while let Ok(job) = queue.recv() {
                job(&mut handle);
            }
            drop(handle);
            drop(token);
        })?;
        Ok(Self { jobs })
    }

    pub(super) fn query(&self, statement: String, parameters: Vec<Value>) -> Query {
        let (columns_to, columns) = oneshot::channel();
        let (rows_to, rows) = mpsc::channel(CHUNKS_WAITING);
        let (result_to, result) = oneshot::channel();
        self.run(Box::new(move |handle| match handle.get() {
            Err(error) => _ = columns_to.send(Err(Error::Io(error))),
            // The receivers may be gone: the component did not wait.
            Ok(connection) => _ = result_to.send(run(connection, &statement, parameters, columns_to, rows_to)),
        }));
        Query { columns, rows, result }
    }

    /// Asks the connection a question that needs no statement.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        question: fn(&rusqlite::Connection) -> R,
    ) -> oneshot::Receiver<Result<R, String>> {
        let (answer_to, answer) = oneshot::channel();
        self.run(Box::new(move |handle| {
            _ = answer_to.send(handle.get().map(question));
        }));
        answer
    }

    fn run(&self, job: Job) {
        // Should the thread have panicked, the job is dropped and with it the sender that the component waits for.
        _ = self.jobs.send(job);
    }
}

/// The thread's side: opened at the first use, so that a failed open is the statement's error and is tried again.
struct Handle {
    location: Location,
    connection: Option<rusqlite::Connection>,
}

impl Handle {
    fn get(&mut self) -> Result<&rusqlite::Connection, String> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.location).map_err(|error| error.to_string())?,
        };
        Ok(self.connection.insert(connection))
    }
}

fn open(location: &Location) -> rusqlite::Result<rusqlite::Connection> {
    let mut connection = match &location.path {
        Some(path) => rusqlite::Connection::open(path)?,
        None => rusqlite::Connection::open_in_memory()?,
    };
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    if !location.attach {
        // A temporary or in-memory database may be attached, another file may not.
        connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
            AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => Authorization::Deny,
            _ => Authorization::Allow,
        }))?;
    }
    Ok(connection)
}

fn run(
    connection: &rusqlite::Connection,
    statement: &str,
    parameters: Vec<Value>,
    columns_to: oneshot::Sender<Result<Vec<String>, Error>>,
    rows_to: mpsc::Sender<Vec<RowResult>>,
) -> Result<(), Error> {
    let mut prepared = match connection.prepare_cached(statement) {
        Ok(prepared) => prepared,
        Err(error) => {
            _ = columns_to.send(Ok(Vec::new()));
            return Err(fault::check(connection, &error));
        }
    };
    let columns = prepared.column_names().map(str::to_owned).collect();
    _ = columns_to.send(Ok(columns));
    let parameters = rusqlite::params_from_iter(parameters.into_iter().map(parameter));
    let mut rows = prepared.query(parameters).map_err(|error| fault::check(connection, &error))?;
    let mut chunk = Chunk { rows: Vec::new(), bytes: 0, to: rows_to };
    while let Some(row) = rows.next().map_err(|error| fault::check(connection, &error))? {
        chunk.add(row)?;
    }
    chunk.flush()
}

/// Rows that are sent together: one wake-up of the component for many of them.
struct Chunk {
    rows: Vec<RowResult>,
    bytes: usize,
    to: mpsc::Sender<Vec<RowResult>>,
}

impl Chunk {
    fn add(&mut self, row: &rusqlite::Row<'_>) -> Result<(), Error> {
        let io = |error: rusqlite::Error| Error::Io(error.to_string());
        let mut values = Vec::with_capacity(row.as_ref().column_count());
        let mut bytes = 0;
        for index in 0..row.as_ref().column_count() {
            let value = row.get_ref(index).map_err(io)?;
            bytes += size(&value);
            values.push(column(value)?);
        }
        if bytes > ROW_BYTES_MAX {
            return Err(Error::Io(format!("query result exceeds limit of {ROW_BYTES_MAX} bytes")));
        }
        self.rows.push(RowResult { values });
        self.bytes += bytes;
        if self.rows.len() == CHUNK_ROWS || self.bytes >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        match std::mem::take(&mut self.rows) {
            rows if rows.is_empty() => Ok(()),
            // The component stopped reading: the statement ends there, as in Spin.
            rows => self.to.blocking_send(rows).map_err(|_| Error::Io("row send error".to_owned())),
        }
    }
}

fn size(value: &ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
    }
}

fn column(value: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(
            String::from_utf8(text.to_vec()).map_err(|_| Error::Io("a text column is not UTF-8".to_owned()))?,
        ),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    })
}

fn parameter(value: Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Integer(integer) => SqlValue::Integer(integer),
        Value::Real(real) => SqlValue::Real(real),
        Value::Text(text) => SqlValue::Text(text),
        Value::Blob(blob) => SqlValue::Blob(blob),
    }
}
