//! Errors as RFC 9457 problem documents: a stable code and a sentence for the caller; reasons go to the log.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use wiber_model::query;

const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    code: &'static str,
    detail: String,
    #[serde(skip)]
    header: Option<(&'static str, &'static str)>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { r#type: "about:blank", title, status, code, detail: detail.into(), header: None }
    }

    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The question was understood, and what it asks for is not there.
    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, query::NOT_FOUND, detail)
    }

    /// Nothing is served under this path, perhaps since the process has not the role.
    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "no such path; queries need the role `query` (WIBER_ROLES)")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "only GET and HEAD are served here")
            .with("allow", "GET, HEAD")
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token is needed")
            .with("www-authenticate", "Bearer")
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-parameter", detail)
    }

    pub(super) fn mongodb_unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "mongodb-unavailable", "MongoDB does not answer; try again")
            .with("retry-after", "1")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    }
}
