//! HTTP/1.1 on a listener: limits of connections, headers and bodies, the choice of the component, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiBody;

use crate::app::Routes;
use crate::args::{Args, ms};
use crate::body::{Pace, Watched};
use crate::pool::Pool;
use crate::problem::Problem;

/// Most bytes buffered for one connection; larger headers get 431.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, which mostly means that no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long the last bytes of answers may take to leave once every answer is complete.
const FLUSH: Duration = Duration::from_millis(500);

/// The server's side of every connection.
pub(crate) struct Server {
    pub(crate) routes: Routes,
    /// In the order of the routes' indices.
    pub(crate) pools: Vec<Pool>,
    header_timeout: Duration,
    body_timeout: Duration,
    body_bytes_max: u64,
    pause_max: Duration,
    connections_max: usize,
    connections: TaskTracker,
    /// Requests from their headers to the end of their answers.
    requests: TaskTracker,
    closing: CancellationToken,
}

impl Server {
    pub(crate) fn new(args: &Args, routes: Routes, pools: Vec<Pool>) -> Self {
        Self {
            routes,
            pools,
            header_timeout: ms(args.header_timeout_ms),
            body_timeout: ms(args.body_timeout_ms),
            body_bytes_max: args.body_limit_bytes.get(),
            pause_max: ms(args.request_limit_ms),
            connections_max: args.connections.get(),
            connections: TaskTracker::new(),
            requests: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Accepts connections for ever. Those beyond the limit wait in the listen queue.
    pub(crate) async fn accept(self: &Arc<Self>, listener: &TcpListener) -> Infallible {
        let free = Arc::new(Semaphore::new(self.connections_max));
        loop {
            let permit = free.clone().acquire_owned().await.ok();
            match listener.accept().await {
                Ok((stream, _)) => _ = self.connections.spawn(self.clone().serve(stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Ends every connection once its request is answered in full.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.requests.close();
        self.requests.wait().await;
        self.connections.close();
        // A connection without a request is worth no wait: it may be a slow sender of headers.
        _ = tokio::time::timeout(FLUSH, self.connections.wait()).await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, _permit: Option<OwnedSemaphorePermit>) {
        // Without it the body of an answer waits for the acknowledgement of its headers, up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.body_timeout));
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.header_timeout)
                .max_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(TokioIo::new(Box::pin(stream)), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<WasiBody> {
        let token = self.requests.token();
        let (mut head, body) = request.into_parts();
        let Some(uri) = full_uri(&head) else { return Problem::BadRequest.answer(&head.headers) };
        let Some(component) = self.routes.find(uri.path()) else { return Problem::NotFound.answer(&head.headers) };
        head.uri = uri;
        let headers = head.headers.clone();
        let body = Watched::new(body, Pace::Average(self.body_timeout), self.body_bytes_max, None).boxed_unsync();
        match self.pools[component].call(Request::from_parts(head, body)).await {
            Ok(response) => response
                .map(|body| Watched::new(body, Pace::Pause(self.pause_max), u64::MAX, Some(token)).boxed_unsync()),
            Err(problem) => problem.answer(&headers),
        }
    }
}

/// The URI with scheme and authority: of the request line, else of the one `Host` header that HTTP/1.1 demands
/// (RFC 9112 §3.2).
fn full_uri(head: &http::request::Parts) -> Option<Uri> {
    let path = head.uri.path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    let mut hosts = head.headers.get_all(http::header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(Authority::try_from(host.as_bytes()).ok()?),
        (None, None) if head.version == Version::HTTP_10 => Some(Authority::from_static("localhost")),
        _ => None,
    };
    let authority = head.uri.authority().cloned().or(host)?;
    Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(PathAndQuery::clone(path)).build().ok()
}

/// Binds the listener.
///
/// # Errors
/// The system's reason.
pub(crate) async fn bind(args: &Args) -> io::Result<TcpListener> {
    TcpListener::bind(args.listen).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, version: Version, hosts: &[&str], expected: Option<&str>) {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(full_uri(&head).map(|uri| uri.to_string()).as_deref(), expected, "{uri} {hosts:?}");
    }

    #[test]
    fn uris() {
        check("/a?b", Version::HTTP_11, &["h:1"], Some("http://h:1/a?b"));
        check("http://o/a", Version::HTTP_11, &["h"], Some("http://o/a"));
        check("/a", Version::HTTP_10, &[], Some("http://localhost/a"));
        check("/a", Version::HTTP_11, &[], None);
        check("/a", Version::HTTP_11, &["h", "h"], None);
        check("/a", Version::HTTP_11, &["h/x"], None);
        check("*", Version::HTTP_11, &["h"], None);
    }
}
