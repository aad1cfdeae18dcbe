//! HTTP/1.1 on a listener: limits of connections, headers and bodies, the choice of the component, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiBody;

use crate::app::Routes;
use crate::args::Args;
use crate::body::{Pace, Watched};
use crate::pool::Pool;
use crate::problem::{Problem, REQUEST_ID};

/// Most bytes buffered for one connection; larger headers get 431.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, which mostly means that no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long, and how many bytes, a closed connection is still read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long the last bytes of answers may take to leave once every answer is complete.
const FLUSH: Duration = Duration::from_millis(500);

/// The server's side of every connection.
pub(crate) struct Server {
    args: Args,
    routes: Routes,
    /// In the order of the routes' indices.
    pools: Vec<Pool>,
    connections: TaskTracker,
    /// Requests from their headers to the end of their answers.
    requests: TaskTracker,
    closing: CancellationToken,
}

impl Server {
    pub(crate) fn new(args: Args, routes: Routes, pools: Vec<Pool>) -> Arc<Self> {
        let (connections, requests) = (TaskTracker::new(), TaskTracker::new());
        Arc::new(Self { args, routes, pools, connections, requests, closing: CancellationToken::new() })
    }

    /// Accepts connections for ever. Those beyond the limit wait in the listen queue.
    pub(crate) async fn accept(self: &Arc<Self>, listener: &TcpListener) -> Infallible {
        let free = Arc::new(Semaphore::new(self.args.connections.get()));
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

    /// Ends every connection once its request is answered in full, and closes the queues of the workers.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.requests.close();
        self.requests.wait().await;
        self.connections.close();
        // A connection without a request is worth no wait: it may be a slow sender of headers.
        _ = tokio::time::timeout(FLUSH, self.connections.wait()).await;
        self.pools.iter().for_each(|pool| _ = pool.jobs.close());
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, _permit: Option<OwnedSemaphorePermit>) {
        // Without it the body of an answer waits for the acknowledgement of its headers, up to 40 ms.
        _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.args.body_timeout));
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.args.header_timeout)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.closing.cancelled() => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
        }
        // Closing with a part of the request unread resets the connection, and the client may lose its answer.
        let mut stream = connection.into_parts().io.into_inner();
        let linger = async {
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await
        };
        _ = tokio::time::timeout(LINGER, linger).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<WasiBody> {
        let token = self.requests.token();
        let (mut head, body) = request.into_parts();
        let request_id = head.headers.get(REQUEST_ID).cloned();
        let Some(uri) = full_uri(&head) else { return Problem::BadRequest.answer(request_id) };
        let Some(component) = self.routes.find(uri.path()) else { return Problem::NotFound.answer(request_id) };
        head.uri = uri;
        let (pace, pause) = (Pace::Average(self.args.body_timeout), Pace::Pause(self.args.request_limit));
        let body = Watched::new(body, pace, self.args.body_limit_bytes, None).boxed_unsync();
        match self.pools[component].call(Request::from_parts(head, body)).await {
            Ok(response) => response.map(|body| Watched::new(body, pause, u64::MAX, Some(token)).boxed_unsync()),
            Err(problem) => problem.answer(request_id),
        }
    }
}

/// The URI with scheme and authority: of the request line, else of the one `Host` header (RFC 9112 §3.2).
fn full_uri(head: &http::request::Parts) -> Option<Uri> {
    let path = head.uri.path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    let mut hosts = head.headers.get_all(HOST).iter();
    let authority = match (head.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => authority.clone(),
        (None, Some(host), None) => Authority::try_from(host.as_bytes()).ok()?,
        _ => return None,
    };
    Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path.clone()).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, hosts: &[&str], expected: Option<&str>) {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(full_uri(&head).map(|uri| uri.to_string()).as_deref(), expected, "{uri} {hosts:?}");
    }

    #[test]
    fn uris() {
        check("/a?b", &["h:1"], Some("http://h:1/a?b"));
        check("http://o/a", &["h"], Some("http://o/a"));
        check("/a", &[], None);
        check("/a", &["h", "h"], None);
        check("/a", &["h/x"], None);
        check("*", &["h"], None);
    }
}
