//! HTTP calls to one outbox.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use wiber_model::outbox::{
    Changed, LEASE, LeaseAnswer, LeaseRequest, PUBLISHED, PublishedRequest, PublishedRow, READ, READ_BYTES_MAX,
    RELEASE, ROWS, ReadAnswer, ReadRequest, ReleaseRequest, RowRef, RowsAnswer, RowsRequest, SETTLE, STATISTICS,
    SettleRequest, Statistics, UNSETTLED, UnsettledAnswer, UnsettledRequest, Which,
};

use crate::backoff::Backoff;
use crate::config::Secret;

/// How long a call may take that the outbox answers at once.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// What a long-poll may take beyond the wait that was asked for.
const READ_MARGIN: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer: a full read, with room for each row's envelope.
const ANSWER_BYTES_MAX: usize = 4 * READ_BYTES_MAX;

/// A client that goes straight to the outboxes, keeps its connections and sends small requests at once.
pub(super) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build()
}

/// The waits between calls to an outbox that does not serve: short, since all it takes is a connection.
pub(super) fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_millis(250))
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("calling outbox {outbox}")]
    Unreachable {
        outbox: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("outbox {outbox} refuses the token (status {status})")]
    Token { outbox: String, status: StatusCode },
    #[error("another relay holds the lease of outbox {outbox}")]
    LeaseHeld { outbox: String },
    #[error("outbox {outbox} refuses {path} (status {status})")]
    Refused { outbox: String, path: &'static str, status: StatusCode },
    #[error("outbox {outbox} cannot serve {path} now (status {status}): {detail}")]
    Unavailable { outbox: String, path: &'static str, status: StatusCode, detail: String },
    #[error("the answer of outbox {outbox} to {path} is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge { outbox: String, path: &'static str },
    #[error("reading the answer of outbox {outbox} to {path}")]
    Answer {
        outbox: String,
        path: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

/// One outbox, as one lease holder calls it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    http: reqwest::Client,
    base: Url,
    token: Secret,
    holder: String,
}

impl Source {
    pub(super) fn new(http: reqwest::Client, base: &Url, token: Secret, holder: String) -> Self {
        Self { http, base: base.clone(), token, holder }
    }

    /// The outbox's address: its name in logs, metrics and `meta`.
    pub(super) fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Takes or renews the lease.
    pub(super) async fn lease(&self, ttl: Duration) -> Result<LeaseAnswer, Error> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.post(LEASE, &LeaseRequest { holder: self.holder.clone(), ttl_ms }, CALL_TIMEOUT).await
    }

    /// Gives the lease up.
    pub(super) async fn release(&self) -> Result<Changed, Error> {
        self.post(RELEASE, &ReleaseRequest { holder: self.holder.clone() }, CALL_TIMEOUT).await
    }

    /// Reads rows above a position, waiting for the first.
    pub(super) async fn read(&self, which: Which, after: i64, limit: u32, wait: Duration) -> Result<ReadAnswer, Error> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = ReadRequest { holder: self.holder.clone(), after, limit, wait_ms, which };
        self.post(READ, &request, wait + READ_MARGIN).await
    }

    /// Marks rows as published.
    pub(super) async fn mark(&self, rows: Vec<PublishedRow>) -> Result<Changed, Error> {
        self.post(PUBLISHED, &PublishedRequest { rows }, CALL_TIMEOUT).await
    }

    /// Published rows that are not settled.
    pub(super) async fn unsettled(&self, after: i64, limit: u32) -> Result<UnsettledAnswer, Error> {
        self.post(UNSETTLED, &UnsettledRequest { after, limit }, CALL_TIMEOUT).await
    }

    /// Rows, whatever became of them; the lease is not needed.
    pub(super) async fn rows(&self, after: i64, limit: u32) -> Result<RowsAnswer, Error> {
        self.post(ROWS, &RowsRequest { after, limit }, CALL_TIMEOUT).await
    }

    /// Frees rows.
    pub(super) async fn settle(&self, rows: Vec<RowRef>) -> Result<Changed, Error> {
        self.post(SETTLE, &SettleRequest { rows }, CALL_TIMEOUT).await
    }

    /// Depth and age.
    pub(super) async fn statistics(&self) -> Result<Statistics, Error> {
        let request = self.http.get(self.address(STATISTICS)).timeout(CALL_TIMEOUT);
        self.send(STATISTICS, request).await
    }

    async fn post<A: DeserializeOwned>(
        &self,
        path: &'static str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<A, Error> {
        self.send(path, self.http.post(self.address(path)).json(body).timeout(timeout)).await
    }

    async fn send<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<A, Error> {
        let outbox = || self.url().to_owned();
        let unreachable = |source| Error::Unreachable { outbox: outbox(), source };
        let answer = request.bearer_auth(self.token.expose()).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_server_error() {
            let detail = detail(&self.body(path, answer).await.unwrap_or_default());
            return Err(Error::Unavailable { outbox: outbox(), path, status, detail });
        }
        self.check(path, status)?;
        let body = self.body(path, answer).await?;
        serde_json::from_slice(&body).map_err(|source| Error::Answer { outbox: outbox(), path, source })
    }

    fn check(&self, path: &'static str, status: StatusCode) -> Result<(), Error> {
        let outbox = self.url().to_owned();
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Token { outbox, status }),
            StatusCode::CONFLICT => Err(Error::LeaseHeld { outbox }),
            status => Err(Error::Refused { outbox, path, status }),
        }
    }

    async fn body(&self, path: &'static str, mut answer: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let unreachable = |source| Error::Unreachable { outbox: self.url().to_owned(), source };
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::TooLarge { outbox: self.url().to_owned(), path });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn address(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

/// What a problem document (RFC 9457) says.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_slice::<Problem>(body).map_or_else(|_| "no reason given".to_owned(), |problem| problem.detail)
}
