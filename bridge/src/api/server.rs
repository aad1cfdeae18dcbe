//! HTTP/1.1 on a listener, with limits that axum's own server does not have.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept, which mostly means that no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most connections; further ones wait in the listen queue.
    pub(super) connections_max: usize,
    /// Longest time for a request's headers, for an idle connection, and for a caller to take a part of its answer.
    pub(super) silence: Duration,
}

/// More connections than the functions' hosts use; and a silence that does not end where scrapes of metrics begin, which
/// come every 15, 30 or 60 s.
pub(super) const LIMITS: Limits = Limits { connections_max: 1_024, silence: Duration::from_secs(25) };

/// Serves until shutdown, then finishes the requests that have begun.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let free = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &free) => match accepted {
                Ok((stream, permit)) => {
                    connections.spawn(connection(stream, router.clone(), limits, permit, shutdown.clone()));
                }
                // Not a socket that listens: no wait mends that.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Option<OwnedSemaphorePermit>)> {
    // Nobody closes the semaphore.
    let permit = Arc::clone(free).acquire_owned().await.ok();
    Ok((listener.accept().await?.0, permit))
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    _permit: Option<OwnedSemaphorePermit>,
    shutdown: CancellationToken,
) {
    // Answers leave in two writes; with Nagle's algorithm the second would wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.silence));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.silence)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
