//! Error answers: RFC 9457 problem documents with a stable `code` and, for broken rules, every one of them.

use http::StatusCode;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use wiber_model::Violation;

/// Seconds after which a client may try again what is full or down.
const RETRY_AFTER_SECONDS: &str = "1";

/// How many fields the detail of a problem names; all of them stand in its errors.
const FIELDS_SHOWN: usize = 10;

/// A problem on its way to becoming an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) errors: Vec<Violation>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path answers {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).with(ALLOW, allow)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the body must be sent with Content-Type: application/json",
        )
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", format!("the body has more than {bytes_max} bytes"))
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn invalid(errors: Vec<Violation>) -> Self {
        let mut fields: Vec<&str> = errors.iter().take(FIELDS_SHOWN).map(|e| e.field.as_str()).collect();
        if errors.len() > FIELDS_SHOWN {
            fields.push("…");
        }
        let detail = format!("{} of the request's rules broken: {}", errors.len(), fields.join(", "));
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// Nothing was written; the same request may be sent again.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// The write may or may not have taken effect.
    pub(crate) fn outcome_unknown() -> Self {
        let detail = "the message may or may not have been accepted; send it again with the same Idempotency-Key";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "outcome-unknown", detail)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid bearer token is needed")
            .with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "no token is set for this path (variable outbox_token), so nobody may use it",
        )
    }

    pub(crate) fn misconfigured(detail: impl Into<String>) -> Self {
        Self::unavailable("misconfigured", detail)
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The document's bytes.
    pub(crate) fn document(&self, request_id: &str) -> Vec<u8> {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
            request_id,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }
}
