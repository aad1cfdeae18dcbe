//! The host's own answers: RFC 9457 problem documents with the caller's or a new `X-Request-Id`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::WasiBody;

/// The header that names a request in every log line and answer about it.
pub(crate) const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Why the host answers instead of a component.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Problem {
    /// The request is not one that a component can be given.
    BadRequest,
    /// No route matches.
    NotFound,
    /// The component failed with this request in hand.
    Failed,
    /// The component did not answer in time.
    TooLate,
}

impl Problem {
    /// The answer to a request whose caller named it `caller_id`.
    pub(crate) fn answer(self, caller_id: Option<HeaderValue>) -> Response<WasiBody> {
        const UNKNOWN: (&str, &str) = ("outcome-unknown", "Retry with the same Idempotency-Key.");
        let (status, (code, detail)) = match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, ("bad-request", "The request has no usable path or Host.")),
            Self::NotFound => (StatusCode::NOT_FOUND, ("not-found", "No component answers this path.")),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, UNKNOWN),
            Self::TooLate => (StatusCode::GATEWAY_TIMEOUT, UNKNOWN),
        };
        let (title, number, id) = (status.canonical_reason(), status.as_u16(), request_id(caller_id));
        let document = serde_json::json!({
            "type": "about:blank", "title": title, "status": number, "code": code, "detail": detail,
            "requestId": id.to_str().unwrap_or_default(),
        });
        let body = Full::new(Bytes::from(document.to_string())).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }
}

fn request_id(caller_id: Option<HeaderValue>) -> HeaderValue {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let valid = |id: &HeaderValue| (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.as_bytes().iter().all(allowed);
    // A number is always a valid header.
    caller_id.filter(valid).unwrap_or_else(|| HeaderValue::from(rand::random::<u64>()))
}
