//! CORS (Fetch standard §3.2): which browsers' origins may call. None unless the setting names them.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, ORIGIN, VARY,
};

use crate::Head;
use crate::settings::Settings;

/// Adds what the caller's origin is granted.
pub(crate) fn decorate(head: &Head, settings: &Settings, headers: &mut HeaderMap) {
    if settings.cors_origins.is_empty() {
        return;
    }
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = head.headers.get(ORIGIN) else { return };
    let granted = settings.cors_origins.iter().any(|o| o == "*" || o.as_bytes() == origin.as_bytes());
    if !granted {
        return;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Link, Retry-After, X-Request-Id"));
    if head.method == http::Method::OPTIONS {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
        let allowed = HeaderValue::from_static("Content-Type, Idempotency-Key, X-Request-Id, traceparent");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}
