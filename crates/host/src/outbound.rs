//! `wasi:http/client`: a component's calls to the hosts it is granted, over kept connections. A call to another host is
//! refused with `HTTP-request-denied`, as in Spin (crates/factor-outbound-http).

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::util::ServiceFn;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::app::Component;
use crate::body::{Pace, Watched};

/// Limit of each step where the component sets none, as in Spin.
const STEP_LIMIT: Duration = Duration::from_secs(600);
/// How long an unused connection is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Connections shared by all components.
pub(crate) type Connections = Client<ServiceFn<fn(Uri) -> Connecting>, WasiBody>;
type Connecting = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;
type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// An empty pool of connections.
pub(crate) fn connections() -> Connections {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .build(tower::service_fn(connect as fn(Uri) -> Connecting))
}

tokio::task_local! {
    /// How long the request that asks for a connection gives it; the pooled client has no parameter for it.
    static CONNECT_LIMIT: Duration;
}

fn connect(uri: Uri) -> Connecting {
    let limit = CONNECT_LIMIT.try_with(|limit| *limit).unwrap_or(STEP_LIMIT);
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    async move {
        let stream = timeout(limit, TcpStream::connect((host, uri.port_u16().unwrap_or(80)))).await??;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }
    .boxed()
}

/// Sends one component's requests.
pub(crate) struct Outbound {
    pub(crate) component: Arc<Component>,
    pub(crate) connections: Connections,
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_result: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        if !self.component.hosts.allows(request.uri()) {
            let host = request.uri().authority().map(tracing::field::display);
            tracing::warn!(component = self.component.name, host, "outbound request refused: host not granted");
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let connections = self.connections.clone();
        Box::new(async move {
            if request.uri().scheme() == Some(&Scheme::HTTPS) {
                let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
                return Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as _));
            }
            Ok((send(&connections, request, options.unwrap_or_default()).await?, Box::new(async { Ok(()) }) as _))
        })
    }
}

async fn send(
    connections: &Connections,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let answer = CONNECT_LIMIT.scope(options.connect_timeout.unwrap_or(STEP_LIMIT), connections.request(request));
    let answer = timeout(options.first_byte_timeout.unwrap_or(STEP_LIMIT), answer).await;
    let answer = answer.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| reason(&error))?;
    let pause = Pace::Pause(options.between_bytes_timeout.unwrap_or(STEP_LIMIT));
    Ok(answer.map(|body| Watched::new(body, pause, u64::MAX, None).boxed_unsync()))
}

/// The WASI error for a failed request, in Spin's classes.
fn reason(error: &hyper_util::client::legacy::Error) -> Error {
    if !error.is_connect() {
        return Error::HttpProtocolError;
    }
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        // Only the resolver's errors have no number.
        Some(cause) if cause.raw_os_error().is_none() => {
            Error::DnsError { rcode: Some("address not available".to_owned()), info_code: Some(0) }
        }
        _ => Error::ConnectionRefused,
    }
}
