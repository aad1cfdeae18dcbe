//! The host's own answers: RFC 9457 problem documents with the caller's or a new `X-Request-Id`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::WasiBody;

const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Why the host answers instead of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The request is not one that a component can be given.
    BadRequest,
    /// No route matches.
    NotFound,
    /// The component failed with this request in hand.
    Failed,
    /// The component did not answer in time.
    TooLate,
    /// No instance took the request in time: nothing was done.
    Busy,
}

impl Problem {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        const RETRY: &str = "Retry with the same Idempotency-Key.";
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request has no usable path or Host."),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "No component answers this path."),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "outcome-unknown", RETRY),
            Self::TooLate => (StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", RETRY),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Nothing was done; try again later."),
        }
    }

    /// The answer to a request with `headers`.
    pub(crate) fn answer(self, headers: &HeaderMap) -> Response<WasiBody> {
        let (status, code, detail) = self.parts();
        let document = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let body = Full::new(Bytes::from(document.to_string())).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(REQUEST_ID, request_id(headers));
        if self == Self::Busy {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let valid = |id: &&HeaderValue| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len())
            && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
    };
    headers.get(REQUEST_ID).filter(valid).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(format!("{:032x}", rand::random::<u128>())).unwrap_or(HeaderValue::from_static("-"))
    })
}
