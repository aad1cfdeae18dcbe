//! `spin:sqlite`: the databases that a component is granted, with Spin's semantics (crates/factor-sqlite,
//! crates/sqlite-inproc): every open is a new connection, made at its first use; no PRAGMA is set; an error of a
//! statement, at prepare too, comes with its result. One SQL function is there that Spin has not ([`Commits`]).

mod commits;
mod connection;
mod fault;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, HasSelf, Resource, StreamProducer, StreamReader, StreamResult, VecBuffer,
};

pub(crate) use self::commits::Commits;
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub use self::connection::Connection;
pub use self::fault::EXIT_DISK;
pub(crate) use self::fault::watch;
use crate::bindings::sqlite::{Error, Host, HostConnection, HostConnectionWithStore, RowResult, Value};
use crate::engine::State;

/// Most connections of one instance, as in Spin.
const CONNECTIONS_MAX: usize = 256;

type Answer = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

impl Host for State {}

impl HostConnection for State {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.connections -= 1;
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> HostConnectionWithStore<T> for HasSelf<State> {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut access| match access.get().open(&database) {
            Ok(connection) => Ok(Ok(access.get().table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let query = ask(accessor, &connection, |connection| connection.query(statement, parameters))?;
        let columns = match query.columns.await? {
            Ok(columns) => columns,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, Rows(query.rows))?;
            Ok(Ok((columns, rows, FutureReader::new(&mut access, query.result)?)))
        })
    }

    async fn changes_async(accessor: &Accessor<T, Self>, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        let question = rusqlite::Connection::changes;
        ask(accessor, &connection, |connection| connection.ask(question))?.await?.map_err(wasmtime::Error::msg)
    }
}

impl State {
    fn open(&mut self, database: &str) -> Result<Connection, Error> {
        let Some(location) = self.component.databases.get(database) else {
            tracing::warn!(component = self.component.name, database, "database refused: not granted");
            return Err(Error::AccessDenied);
        };
        if self.connections == CONNECTIONS_MAX {
            return Err(Error::Io("too many connections opened".to_owned()));
        }
        let connection = Connection::open(location.clone(), self.database_threads.token());
        let connection = connection.map_err(|error| Error::Io(format!("no thread for the connection: {error}")))?;
        self.connections += 1;
        Ok(connection)
    }
}

/// Gives the connection something to do, in the order of the component's calls.
fn ask<T: Send, R>(
    accessor: &Accessor<T, HasSelf<State>>,
    connection: &Resource<Connection>,
    question: impl FnOnce(&Connection) -> R,
) -> wasmtime::Result<R> {
    accessor.with(|mut access| Ok(question(access.get().table.get(connection)?)))
}

/// A statement under way: the columns, rows, and the result.
pub(crate) struct Query {
    columns: oneshot::Receiver<Result<Vec<String>, Error>>,
    rows: mpsc::Receiver<Vec<RowResult>>,
    result: oneshot::Receiver<Result<(), Error>>,
}

/// Rows on their way from the connection's thread to the component.
struct Rows(mpsc::Receiver<Vec<RowResult>>);

impl<D> StreamProducer<D> for Rows {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A read of no items asks for readiness only; saying yes is always allowed.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let polled = self.0.poll_recv(cx);
        if finish && polled.is_pending() {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        let Some(rows) = ready!(polled) else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        destination.set_buffer(rows.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
