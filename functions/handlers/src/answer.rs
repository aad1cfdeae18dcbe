//! Full answers: every one carries `content-length`, the request id and, where granted, CORS headers.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LINK};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::context::{Context, Entropy};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::{Head, SettingsError, cors};

/// A whole answer.
pub type Answer = Response<Bytes>;

/// The header that carries the request's identity.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a handler decided, before the headers that every answer has.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// 200 with JSON.
    pub(crate) fn json(body: &impl Serialize) -> Self {
        Self::raw_json(serde_json::to_vec(body).unwrap_or_default().into())
    }

    /// 200 with bytes that are JSON already.
    pub(crate) fn raw_json(body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body, headers: Vec::new() }
    }

    /// 204 to OPTIONS.
    pub(crate) fn options(allow: &'static str) -> Self {
        let headers = vec![(ALLOW, HeaderValue::from_static(allow))];
        Self { status: StatusCode::NO_CONTENT, content_type: "", body: Bytes::new(), headers }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn with_link(mut self, link: Option<String>) -> Self {
        if let Some(value) = link.and_then(|l| HeaderValue::from_str(&l).ok()) {
            self.headers.push((LINK, value));
        }
        self
    }
}

/// Answers a request by `decide`, with what every answer carries; without usable settings nothing is decided.
pub(crate) async fn respond(
    head: &Head,
    entropy: &impl Entropy,
    settings: &Result<Settings, SettingsError>,
    decide: impl AsyncFnOnce(&Settings, &Context) -> Result<Reply, Problem>,
) -> Answer {
    let context = Context::of(head, entropy);
    match settings {
        Ok(settings) => finish(head, &context, settings, decide(settings, &context).await),
        Err(error) => finish(head, &context, &Settings::default(), Err(Problem::misconfigured(error.to_string()))),
    }
}

fn finish(head: &Head, context: &Context, settings: &Settings, decision: Result<Reply, Problem>) -> Answer {
    let reply = decision.unwrap_or_else(|problem| Reply {
        status: problem.status,
        content_type: "application/problem+json",
        body: problem.document(&context.request_id).into(),
        headers: problem.headers,
    });
    let mut answer = Response::new(reply.body);
    *answer.status_mut() = reply.status;
    let headers = answer.headers_mut();
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    cors::decorate(head, settings, headers);
    // A 204 has no content, and so no length (RFC 9110 §8.6).
    if reply.status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        let length = answer.body().len();
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}
