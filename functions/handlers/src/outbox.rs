//! The bridge's side of the outbox: `/internal/outbox/*`.

use http::StatusCode;
use serde::de::DeserializeOwned;
use wiber_model::Violation;
use wiber_model::outbox::{
    self as protocol, BODY_BYTES_MAX, Changed, LEASE_MS_MAX, LeaseAnswer, LeaseRequest, PublishedRequest, ROWS_MAX,
    ReadAnswer, ReadRequest, ReleaseRequest, RowsAnswer, RowsRequest, SettleRequest, Statistics, UnsettledAnswer,
    UnsettledRequest, WAIT_MS_MAX,
};

use crate::answer::{self, Answer, Reply};
use crate::body::{self, Body};
use crate::context::Entropy;
use crate::headers::{require_bearer, require_json};
use crate::json;
use crate::problem::Problem;
use crate::route::{self, Call};
use crate::settings::Settings;
use crate::{Head, SettingsError};

/// The outbox cannot be used now; the reason is for the bridge's operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DrainError(pub String);

/// The outbox as the bridge's routes need it. Requests are valid: every limit of the protocol was checked.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Drain {
    /// Takes or renews the lease; None while another holds it.
    async fn lease(&self, request: LeaseRequest) -> Result<Option<LeaseAnswer>, DrainError>;
    /// Gives the lease up.
    async fn release(&self, request: ReleaseRequest) -> Result<Changed, DrainError>;
    /// Reads rows; None under another's lease.
    async fn read(&self, request: ReadRequest) -> Result<Option<ReadAnswer>, DrainError>;
    /// Marks rows as published.
    async fn published(&self, request: PublishedRequest) -> Result<Changed, DrainError>;
    /// Lists published rows.
    async fn unsettled(&self, request: UnsettledRequest) -> Result<UnsettledAnswer, DrainError>;
    /// Lists rows to whoever checks them.
    async fn rows(&self, request: RowsRequest) -> Result<RowsAnswer, DrainError>;
    /// Frees rows.
    async fn settle(&self, request: SettleRequest) -> Result<Changed, DrainError>;
    /// Depth and age.
    async fn statistics(&self) -> Result<Statistics, DrainError>;
}

/// Answers one request.
pub async fn respond(
    head: &Head,
    body: &mut impl Body,
    drain: &impl Drain,
    entropy: &impl Entropy,
    settings: &Result<Settings, SettingsError>,
) -> Answer {
    answer::respond(head, entropy, settings, async |settings, _| decide(head, body, drain, settings).await).await
}

async fn decide(head: &Head, body: &mut impl Body, drain: &impl Drain, settings: &Settings) -> Result<Reply, Problem> {
    // Before anything else, so that nobody learns by asking which paths there are.
    require_bearer(head, &[&settings.outbox_tokens[0], &settings.outbox_tokens[1]])?;
    let path = head.uri.path();
    if path == protocol::STATISTICS {
        return match route::method(head, "GET, HEAD, OPTIONS")? {
            Call::Options(reply) => Ok(reply),
            Call::Act => drain.statistics().await.map(|s| Reply::json(&s)).map_err(unavailable),
        };
    }
    let known = [
        protocol::LEASE,
        protocol::RELEASE,
        protocol::READ,
        protocol::PUBLISHED,
        protocol::UNSETTLED,
        protocol::ROWS,
        protocol::SETTLE,
    ];
    if !known.contains(&path) {
        return Err(Problem::not_found("no such path of the outbox protocol"));
    }
    if let Call::Options(reply) = route::method(head, "POST, OPTIONS")? {
        return Ok(reply);
    }
    require_json(head, BODY_BYTES_MAX)?;
    let bytes = body::read(body, BODY_BYTES_MAX).await?;
    act(path, &bytes, drain).await
}

async fn act(path: &str, bytes: &[u8], drain: &impl Drain) -> Result<Reply, Problem> {
    match path {
        protocol::LEASE => {
            let request: LeaseRequest = read(bytes)?;
            check(&[holder(&request.holder), within("ttlMs", request.ttl_ms, 1, LEASE_MS_MAX)])?;
            held(drain.lease(request).await)
        }
        protocol::RELEASE => changed(drain.release(read(bytes)?).await),
        protocol::READ => {
            let request: ReadRequest = read(bytes)?;
            let limits = [
                holder(&request.holder),
                within("limit", request.limit.into(), 1, ROWS_MAX.into()),
                within("waitMs", request.wait_ms.into(), 0, WAIT_MS_MAX.into()),
            ];
            check(&limits)?;
            held(drain.read(request).await)
        }
        protocol::PUBLISHED => {
            let request: PublishedRequest = read(bytes)?;
            check(&[within("rows", request.rows.len() as u64, 0, ROWS_MAX.into())])?;
            changed(drain.published(request).await)
        }
        protocol::UNSETTLED => {
            let request: UnsettledRequest = read(bytes)?;
            check(&[within("limit", request.limit.into(), 1, ROWS_MAX.into())])?;
            changed(drain.unsettled(request).await)
        }
        protocol::ROWS => {
            let request: RowsRequest = read(bytes)?;
            check(&[within("limit", request.limit.into(), 1, ROWS_MAX.into())])?;
            changed(drain.rows(request).await)
        }
        _ => {
            let request: SettleRequest = read(bytes)?;
            check(&[within("rows", request.rows.len() as u64, 0, ROWS_MAX.into())])?;
            changed(drain.settle(request).await)
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value: serde_json::Value = json::parse(bytes)?;
    serde_json::from_value(value)
        .map_err(|e| Problem::invalid(vec![Violation::new("body", "wrong-shape", e.to_string())]))
}

fn holder(text: &str) -> Option<Violation> {
    (text.is_empty() || text.len() > 200)
        .then(|| Violation::new("holder", "out-of-range", "holder needs 1 to 200 bytes"))
}

fn within(field: &str, value: u64, min: u64, max: u64) -> Option<Violation> {
    (!(min..=max).contains(&value))
        .then(|| Violation::new(field, "out-of-range", format!("{field} must be {min} to {max}")))
}

fn check(limits: &[Option<Violation>]) -> Result<(), Problem> {
    let broken: Vec<_> = limits.iter().flatten().cloned().collect();
    if broken.is_empty() { Ok(()) } else { Err(Problem::invalid(broken)) }
}

fn held<T: serde::Serialize>(result: Result<Option<T>, DrainError>) -> Result<Reply, Problem> {
    match result.map_err(unavailable)? {
        Some(answer) => Ok(Reply::json(&answer)),
        None => Err(Problem::new(StatusCode::CONFLICT, "lease-held", "another bridge holds this outbox's lease")),
    }
}

fn changed<T: serde::Serialize>(result: Result<T, DrainError>) -> Result<Reply, Problem> {
    result.map(|answer| Reply::json(&answer)).map_err(unavailable)
}

fn unavailable(error: DrainError) -> Problem {
    Problem::unavailable("outbox-unavailable", error.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Chunks, Fixed, request};

    struct Held(bool);

    impl Drain for Held {
        async fn lease(&self, _: LeaseRequest) -> Result<Option<LeaseAnswer>, DrainError> {
            Ok(self.0.then(|| LeaseAnswer { outbox_id: "o".into(), tenure: Some(1) }))
        }

        async fn release(&self, _: ReleaseRequest) -> Result<Changed, DrainError> {
            Ok(Changed { outbox_id: "o".into(), changed: 1 })
        }

        async fn read(&self, _: ReadRequest) -> Result<Option<ReadAnswer>, DrainError> {
            Ok(self.0.then(|| ReadAnswer { outbox_id: "o".into(), rows: vec![], last_position: None, run: None }))
        }

        async fn published(&self, request: PublishedRequest) -> Result<Changed, DrainError> {
            Ok(Changed { outbox_id: "o".into(), changed: request.rows.len() as u64 })
        }

        async fn unsettled(&self, _: UnsettledRequest) -> Result<UnsettledAnswer, DrainError> {
            Ok(UnsettledAnswer { outbox_id: "o".into(), rows: vec![] })
        }

        async fn rows(&self, _: RowsRequest) -> Result<RowsAnswer, DrainError> {
            Ok(RowsAnswer { outbox_id: "o".into(), rows: vec![] })
        }

        async fn settle(&self, _: SettleRequest) -> Result<Changed, DrainError> {
            Err(DrainError("the disk is full".into()))
        }

        async fn statistics(&self) -> Result<Statistics, DrainError> {
            Err(DrainError("the disk is full".into()))
        }
    }

    async fn check(method: &str, path: &str, token: Option<&str>, body: &str, expected: u16) {
        let mut settings = Settings::default();
        settings.set("outbox_token", "secret").unwrap();
        let mut headers = vec![("content-type", "application/json")];
        let bearer = token.map(|t| format!("Bearer {t}"));
        headers.extend(bearer.as_deref().map(|b| ("authorization", b)));
        let answer = respond(
            &request(method, path, &headers),
            &mut Chunks::of(body.as_bytes()),
            &Held(true),
            &Fixed,
            &Ok(settings),
        )
        .await;
        assert_eq!(answer.status().as_u16(), expected, "{method} {path} {body}");
    }

    #[tokio::test]
    async fn the_token_comes_before_everything() {
        check("PUT", "/internal/nowhere", None, "", 401).await;
        check("PUT", "/internal/nowhere", Some("wrong"), "", 401).await;
        check("PUT", "/internal/nowhere", Some("secret"), "", 404).await;
        check("GET", protocol::LEASE, Some("secret"), "", 405).await;
        let (head, settings) = (request("POST", "/internal/x", &[]), Ok(Settings::default()));
        let answer = respond(&head, &mut Chunks::of(b""), &Held(true), &Fixed, &settings).await;
        assert_eq!(answer.status().as_u16(), 403);
    }

    #[tokio::test]
    async fn calls_at_below_and_above_their_limits() {
        let ok = Some("secret");
        check("POST", protocol::LEASE, ok, r#"{"holder":"a","ttlMs":60000}"#, 200).await;
        check("POST", protocol::LEASE, ok, r#"{"holder":"a","ttlMs":60001}"#, 422).await;
        check("POST", protocol::LEASE, ok, r#"{"holder":"","ttlMs":1}"#, 422).await;
        check("POST", protocol::LEASE, ok, r#"{"holder":"a"}"#, 422).await;
        check(
            "POST",
            protocol::READ,
            ok,
            r#"{"holder":"a","after":0,"limit":1000,"waitMs":0,"which":"unpublished"}"#,
            200,
        )
        .await;
        check(
            "POST",
            protocol::READ,
            ok,
            r#"{"holder":"a","after":0,"limit":1001,"waitMs":0,"which":"unsettled"}"#,
            422,
        )
        .await;
        check("POST", protocol::READ, ok, r#"{"holder":"a","after":0,"limit":0,"waitMs":0,"which":"unsettled"}"#, 422)
            .await;
        check("POST", protocol::PUBLISHED, ok, r#"{"rows":[]}"#, 200).await;
        check("POST", protocol::ROWS, ok, r#"{"after":0,"limit":1000}"#, 200).await;
        check("POST", protocol::ROWS, ok, r#"{"after":0,"limit":1001}"#, 422).await;
        check("POST", protocol::SETTLE, ok, r#"{"rows":[]}"#, 503).await;
        check("POST", protocol::SETTLE, ok, "nonsense", 400).await;
        check("GET", protocol::STATISTICS, ok, "", 503).await;
    }
}
