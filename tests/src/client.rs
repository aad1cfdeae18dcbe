//! The HTTP client: every header of every answer is seen, nothing is followed, nothing is normalised.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::answer::Answer;

/// How long one answer may take before its outcome counts as unknown.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Why there was no answer.
#[derive(Debug, Clone)]
pub enum NoAnswer {
    /// Nobody listened: the request was certainly not taken.
    Refused(String),
    /// The connection broke or the time ran out: whether the request was taken is open.
    Broken(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(text) => write!(f, "refused: {text}"),
            Self::Broken(text) => write!(f, "broken: {text}"),
        }
    }
}

/// Speaks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
    /// Whether answers must carry what the contract promises of every answer of the functions.
    strict: bool,
}

impl Client {
    /// A client of the functions at `base`, such as `http://127.0.0.1:8000`.
    #[must_use]
    pub fn functions(base: &str) -> Self {
        Self::new(base, true)
    }

    /// A client of another HTTP server, such as the bridge.
    #[must_use]
    pub fn other(base: &str) -> Self {
        Self::new(base, false)
    }

    /// The same, with a connection of its own for each request, as `curl` has: what becomes of a request then says
    /// something about the server, and nothing about connections that an earlier server left in a pool.
    #[must_use]
    pub fn unpooled(&self) -> Self {
        Self { pool: pool(0), ..self.clone() }
    }

    fn new(base: &str, strict: bool) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), pool: pool(usize::MAX), strict }
    }

    /// The server's address, `http://…`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Begins a request; `path` is sent as it stands.
    ///
    /// # Panics
    /// If `method` or `path` cannot stand in a request at all (see [`crate::raw`] for those).
    #[must_use]
    pub fn call(&self, method: &str, path: &str) -> Call {
        let uri: Uri = format!("{}{path}", self.base).parse().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method is a token");
        *request.uri_mut() = uri;
        Call { client: self.clone(), request, what: format!("{method} {path}") }
    }

    /// A GET, answered.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).go().await
    }

    /// A POST of JSON, answered.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).json(body).go().await
    }
}

fn pool(idle_max: usize) -> Pool<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(TIME_LIMIT));
    Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(idle_max).build(connector)
}

/// A request being built.
#[derive(Debug, Clone)]
pub struct Call {
    client: Client,
    request: Request<Bytes>,
    what: String,
}

impl Call {
    /// Adds a header; a repeated name stands twice.
    ///
    /// # Panics
    /// If it cannot be sent.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        // Bytes above ASCII may travel in a value; some tests send them.
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.request.headers_mut().append(name, value);
        self
    }

    /// Adds `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Sets the body and no content type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header(CONTENT_TYPE.as_str(), "application/json").body(body.to_string())
    }

    /// Sends it.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn go(self) -> Answer {
        let what = self.what.clone();
        self.attempt().await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends it where an answer is not certain.
    ///
    /// # Errors
    /// If there is none.
    ///
    /// # Panics
    /// If the answer lacks what every answer must have.
    pub async fn attempt(self) -> Result<Answer, NoAnswer> {
        let Self { client, request, what } = self;
        let head = request.method() == Method::HEAD;
        let exchange = async {
            let answer = client.pool.request(request.map(Full::new)).await.map_err(|error| {
                let text = format!("{error:?}");
                if error.is_connect() { NoAnswer::Refused(text) } else { NoAnswer::Broken(text) }
            })?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| NoAnswer::Broken(format!("{error:?}")))?.to_bytes();
            Ok(Answer { call: what, status: parts.status.as_u16(), headers: parts.headers, body })
        };
        let answer = tokio::time::timeout(TIME_LIMIT, exchange)
            .await
            .unwrap_or_else(|_| Err(NoAnswer::Broken(format!("no answer within {TIME_LIMIT:?}"))))?;
        if client.strict {
            check_every_answer(&answer, head);
        }
        Ok(answer)
    }
}

/// What design §2 promises of every full answer.
///
/// # Panics
/// If something is missing.
pub fn check_every_answer(answer: &Answer, head: bool) {
    // A gateway's answer for a crashed component is not the functions' own.
    if matches!(answer.status, 500 | 502 | 504) {
        return;
    }
    let request_id = answer.header("x-request-id");
    assert!(request_id.is_some_and(wiber_model::trace::is_request_id), "no x-request-id in {answer}");
    if answer.status == 204 {
        return;
    }
    let length = answer.header(CONTENT_LENGTH.as_str());
    let length = length.and_then(|text| text.parse::<usize>().ok());
    assert!(length.is_some(), "no content-length in {answer}");
    assert!(head || length == Some(answer.body.len()), "content-length is not the body's in {answer}");
}
