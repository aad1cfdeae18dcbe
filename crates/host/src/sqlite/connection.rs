//! One SQLite connection on a thread of its own: SQLite blocks, in fsync above all, and the async workers must not.
//! Statements run one after the other in the order in which they were asked for.

use std::sync::mpsc as channel;

use rusqlite::Connection as Sqlite;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{Value as SqlValue, ValueRef};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Query, fault};
use crate::app::Location;
use crate::bindings::sqlite::{Error, RowResult, Value};

/// Prepared statements kept for each connection.
const STATEMENTS_CACHED: usize = 64;
/// Rows, and bytes of rows, that go to the component together.
const CHUNK_ROWS: usize = 128;
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a component that reads slowly.
const CHUNKS_WAITING: usize = 4;

type Job = Box<dyn FnOnce(Result<&Sqlite, String>) + Send>;

/// A component's connection. Dropping it ends the thread after the statement that runs.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    jobs: channel::Sender<Job>,
}

impl Connection {
    /// Starts the thread; `token` lives as long as it.
    pub(super) fn open(location: Location, token: TaskTrackerToken) -> std::io::Result<Self> {
        let (jobs, queue) = channel::channel::<Job>();
        std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || {
            // Opened at its first use, so that a failed open is that call's error and is tried again by the next.
            let mut opened = None;
            let mut announced = 0;
            while let Ok(job) = queue.recv() {
                let connection = match opened.take() {
                    Some(connection) => Ok(connection),
                    None => open(&location),
                };
                job(connection.map(|connection| &*opened.insert(connection)));
                if let Some(connection) = opened.as_ref().filter(|connection| connection.is_autocommit())
                    && std::mem::replace(&mut announced, connection.total_changes()) != announced
                {
                    location.commits.announce();
                }
            }
            drop(opened);
            drop(token);
        })?;
        Ok(Self { jobs })
    }

    pub(super) fn query(&self, statement: String, parameters: Vec<Value>) -> Query {
        let (columns_to, columns) = oneshot::channel();
        let (rows_to, rows) = mpsc::channel(CHUNKS_WAITING);
        let (result_to, result) = oneshot::channel();
        // Receivers may be gone where the component does not wait.
        self.run(Box::new(move |connection| match connection {
            Err(error) => _ = columns_to.send(Err(Error::Io(error))),
            Ok(connection) => {
                let mut answer = Answer { columns: Vec::new(), columns_to: Some(columns_to), rows_to };
                _ = result_to.send(run(connection, &statement, parameters, &mut answer));
                answer.end();
            }
        }));
        Query { columns, rows, result }
    }

    /// Asks the connection a question that needs no statement.
    pub(super) fn ask<R: Send + 'static>(&self, question: fn(&Sqlite) -> R) -> oneshot::Receiver<Result<R, String>> {
        let (answer_to, answer) = oneshot::channel();
        self.run(Box::new(move |connection| _ = answer_to.send(connection.map(question))));
        answer
    }

    fn run(&self, job: Job) {
        // Should the thread have panicked, the job is dropped and with it the sender that the component waits for.
        _ = self.jobs.send(job);
    }
}

fn open(location: &Location) -> Result<Sqlite, String> {
    let refused = |error: wiber_wal::Error| {
        tracing::error!(database = ?location.path, %error, "database refused");
        error.to_string()
    };
    location.path.as_deref().map_or(Ok(()), |path| location.log.check(path)).map_err(refused)?;
    connect(location).map_err(|error| error.to_string())
}

fn connect(location: &Location) -> rusqlite::Result<Sqlite> {
    let mut connection = location.path.as_ref().map_or_else(Sqlite::open_in_memory, Sqlite::open)?;
    location.commits.offer(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    if !location.allow_attach_file {
        // A temporary or in-memory database may be attached, another file may not.
        connection.authorizer(Some(|context: AuthContext<'_>| match context.action {
            AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => Authorization::Deny,
            _ => Authorization::Allow,
        }))?;
    }
    Ok(connection)
}

/// What the component is told of a statement. It waits for the columns first. Those of one that writes are sent once it is
/// prepared, so that what the component does next is done while the disk is waited for; those of one that reads come last
/// if all of it fits into a chunk: one wake-up for everything, not three.
struct Answer {
    columns: Vec<String>,
    columns_to: Option<oneshot::Sender<Result<Vec<String>, Error>>>,
    rows_to: mpsc::Sender<Vec<RowResult>>,
}

impl Answer {
    fn begin(&mut self) {
        if let Some(columns_to) = self.columns_to.take() {
            _ = columns_to.send(Ok(std::mem::take(&mut self.columns)));
        }
    }

    /// The component may stop reading: the statement ends there, as in Spin.
    fn send(&self, chunk: Vec<RowResult>) -> Result<(), Error> {
        self.rows_to.blocking_send(chunk).map_err(|_| Error::Io("row send error".to_owned()))
    }

    fn end(self) {
        let Self { columns, columns_to, rows_to } = self;
        // That there are no more rows is known with the columns.
        drop(rows_to);
        if let Some(columns_to) = columns_to {
            _ = columns_to.send(Ok(columns));
        }
    }
}

fn run(connection: &Sqlite, statement: &str, parameters: Vec<Value>, answer: &mut Answer) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| fault::check(connection, &error);
    let mut prepared = connection.prepare_cached(statement).map_err(failed)?;
    answer.columns = prepared.column_names().map(str::to_owned).collect();
    if !prepared.readonly() {
        answer.begin();
    }
    let parameters = rusqlite::params_from_iter(parameters.into_iter().map(parameter));
    let mut rows = prepared.query(parameters).map_err(failed)?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(failed)? {
        let columns = 0..row.as_ref().column_count();
        let values = columns.map(|index| column(row.get_ref(index).map_err(failed)?, &mut bytes));
        chunk.push(RowResult { values: values.collect::<Result<_, _>>()? });
        if chunk.len() == CHUNK_ROWS || bytes >= CHUNK_BYTES {
            bytes = 0;
            answer.send(std::mem::take(&mut chunk))?;
            answer.begin();
        }
    }
    if chunk.is_empty() { Ok(()) } else { answer.send(chunk) }
}

fn column(value: ValueRef<'_>, bytes: &mut usize) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => {
            *bytes += text.len();
            Value::Text(String::from_utf8(text.to_vec()).map_err(|error| Error::Io(error.to_string()))?)
        }
        ValueRef::Blob(blob) => {
            *bytes += blob.len();
            Value::Blob(blob.to_vec())
        }
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

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn commits_are_announced() {
        let location =
            Location { path: None, allow_attach_file: false, log: Default::default(), commits: Default::default() };
        let connection = Connection::open(location.clone(), TaskTracker::new().token()).unwrap();
        for (statement, announced) in [
            ("CREATE TABLE t (a)", 0),
            ("INSERT INTO t VALUES (1)", 1),
            ("SELECT a FROM t", 1),
            ("DELETE FROM t WHERE a = 2", 1),
            ("BEGIN", 1),
            ("INSERT INTO t VALUES (2)", 1),
            ("COMMIT", 2),
        ] {
            connection.query(statement.to_owned(), Vec::new()).result.await.unwrap().unwrap();
            // Answered once what came before is done with.
            connection.ask(Sqlite::changes).await.unwrap().unwrap();
            assert_eq!(location.commits.count(), announced, "{statement}");
        }
    }
}
