//! `wasi:http/client`: a component's calls to the hosts it is granted, over kept connections. A call to another host is
//! refused with `HTTP-request-denied`, as in Spin (crates/factor-outbound-http).

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower_service::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::app::Component;
use crate::body::{Pace, Watched};

/// Limit of each step where the component sets none, as in Spin.
const STEP_LIMIT: Duration = Duration::from_secs(600);
/// How long an unused connection is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Connections shared by all components.
pub(crate) type Connections = Client<Connector, WasiBody>;

/// Sends one component's requests.
pub(crate) struct Outbound {
    component: Arc<Component>,
    connections: Connections,
}

type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl Outbound {
    pub(crate) fn new(component: Arc<Component>, connections: Connections) -> Self {
        Self { component, connections }
    }
}

/// An empty pool of connections.
pub(crate) fn connections() -> Connections {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_LIMIT)
        .build(Connector(http))
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_result: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        if !self.component.hosts.allows(request.uri()) {
            let (component, host) =
                (&*self.component.name, request.uri().authority().map(http::uri::Authority::as_str));
            tracing::warn!(component, host, "outbound request refused: the host is not in allowed_outbound_hosts");
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
    let response = CONNECT_LIMIT.scope(options.connect_timeout.unwrap_or(STEP_LIMIT), connections.request(request));
    let response = timeout(options.first_byte_timeout.unwrap_or(STEP_LIMIT), response)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(|error| reason(&error))?;
    let pause = Pace::Pause(options.between_bytes_timeout.unwrap_or(STEP_LIMIT));
    Ok(response.map(|body| Watched::new(body, pause, u64::MAX, None).boxed_unsync()))
}

/// The WASI error for a failed request, in Spin's classes.
fn reason(error: &hyper_util::client::legacy::Error) -> Error {
    if !error.is_connect() {
        return Error::HttpProtocolError;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.to_string().starts_with("dns error") {
            return Error::DnsError { rcode: Some("address not available".to_owned()), info_code: Some(0) };
        }
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Error::ConnectionTimeout;
        }
        cause = error.source();
    }
    Error::ConnectionRefused
}

tokio::task_local! {
    /// How long the request that asks for a connection gives it; the pooled client has no parameter for it.
    static CONNECT_LIMIT: Duration;
}

/// Opens TCP connections within [`CONNECT_LIMIT`].
#[derive(Clone)]
pub(crate) struct Connector(HttpConnector);

impl Service<Uri> for Connector {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = CONNECT_LIMIT.try_with(|limit| *limit).unwrap_or(STEP_LIMIT);
        let connect = self.0.call(uri);
        Box::pin(async move {
            match timeout(limit, connect).await {
                Ok(connected) => Ok(connected?),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
