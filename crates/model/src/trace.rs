//! Identities that a request carries through every hop: `X-Request-Id` and W3C `traceparent`.

/// Longest request id, in characters.
pub const REQUEST_ID_CHARS_MAX: usize = 128;

/// Whether a caller's request id may be used as it is: `[A-Za-z0-9._-]{1,128}`.
#[must_use]
pub fn is_request_id(text: &str) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether the text is a `traceparent` of version 00 (W3C Trace Context §3.2): lower-case hex, neither id all zero.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else { return false };
    *version == "00" && hex(trace, 32) && some(trace) && hex(span, 16) && some(span) && hex(flags, 2)
}

/// A `traceparent` of a new, unsampled trace.
#[must_use]
pub fn new_traceparent(trace_id: u128, span_id: u64) -> String {
    // All-zero ids are invalid, and 0 is as likely as any other draw.
    format!("00-{:032x}-{:016x}-00", trace_id.max(1), span_id.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_at_and_above_their_limit() {
        assert!(is_request_id("a.B_9-"));
        assert!(is_request_id(&"a".repeat(128)));
        assert!(!is_request_id(&"a".repeat(129)));
        assert!(!is_request_id(""));
        assert!(!is_request_id("a b"));
    }

    #[test]
    fn traceparents_of_version_00() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(is_traceparent(&new_traceparent(0, 0)));
    }
}
