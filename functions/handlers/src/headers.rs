//! Request headers that decide something: media type, bearer token, idempotency key.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use subtle::ConstantTimeEq;
use wiber_model::IDEMPOTENCY_KEY_CHARS_MAX;

use crate::Head;
use crate::problem::Problem;

/// Requires a JSON body of at most `bytes_max` bytes, as far as the headers tell.
pub(crate) fn require_json(head: &Head, bytes_max: usize) -> Result<(), Problem> {
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type());
    }
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|n| n > bytes_max as u64) { Err(Problem::too_large(bytes_max)) } else { Ok(()) }
}

/// Lets a request in that carries one of the tokens. Where none is set nobody may come in.
pub(crate) fn require_bearer(head: &Head, tokens: &[&str]) -> Result<(), Problem> {
    let set: Vec<&[u8]> = tokens.iter().filter(|t| !t.is_empty()).map(|t| t.as_bytes()).collect();
    if set.is_empty() {
        return Err(Problem::forbidden());
    }
    let given = head.headers.get(AUTHORIZATION).map(|v| v.as_bytes()).unwrap_or_default();
    let (scheme, token) = given.split_at(given.len().min(7));
    // Every token is compared, so that the time tells nothing of which one came close.
    let matches = set.iter().fold(0, |found, t| found | t.ct_eq(token).unwrap_u8());
    if scheme.eq_ignore_ascii_case(b"bearer ") && matches == 1 { Ok(()) } else { Err(Problem::unauthorized()) }
}

/// The idempotency key (draft-ietf-httpapi-idempotency-key-header), quoted or bare.
pub(crate) fn idempotency_key(head: &Head) -> Result<Option<String>, Problem> {
    let bad = |detail: &str| Err(Problem::bad_request("bad-idempotency-key", format!("Idempotency-Key {detail}")));
    let mut values = head.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return bad("is given more than once");
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    let Some(key) = unquote(text.trim_matches([' ', '\t'])) else {
        return bad("begins with a quote and does not end as a string");
    };
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_CHARS_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return bad(&format!("needs 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters"));
    }
    Ok(Some(key))
}

/// A bare key as it is, a quoted one (RFC 8941 §3.3.3) without its quotes and escapes.
fn unquote(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else { return Some(text.to_owned()) };
    let inner = inner.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn key(value: &str, expected: Option<&str>) {
        let result = idempotency_key(&head(&[("idempotency-key", value)]));
        assert_eq!(result.ok().flatten().as_deref(), expected, "{value:?}");
    }

    #[test]
    fn keys_quoted_and_bare() {
        key("abc", Some("abc"));
        key("\"abc\"", Some("abc"));
        key(r#""a\"b\\c""#, Some(r#"a"b\c"#));
        key(&"k".repeat(255), Some(&"k".repeat(255)));
        key(&"k".repeat(256), None);
        key("", None);
        key("\"\"", None);
        key("a b", None);
        key("\"abc", None);
        key(r#""a\b""#, None);
        key(r#""a"b""#, None);
        assert!(idempotency_key(&head(&[("idempotency-key", "a"), ("idempotency-key", "a")])).is_err());
        assert_eq!(idempotency_key(&head(&[])).unwrap(), None);
    }

    fn bearer(value: Option<&str>, tokens: &[&str], expected: u16) {
        let headers: Vec<_> = value.iter().map(|v| ("authorization", *v)).collect();
        let status = require_bearer(&head(&headers), tokens).err().map_or(200, |p| p.status.as_u16());
        assert_eq!(status, expected, "{value:?} {tokens:?}");
    }

    #[test]
    fn tokens_old_and_new() {
        bearer(Some("Bearer new"), &["new", "old"], 200);
        bearer(Some("bearer old"), &["new", "old"], 200);
        bearer(Some("Bearer old"), &["", "old"], 200);
        bearer(Some("Bearer "), &["", "old"], 401);
        bearer(Some("Bearer neww"), &["new", "old"], 401);
        bearer(Some("Basic new"), &["new"], 401);
        bearer(None, &["new", ""], 401);
        bearer(Some("Bearer "), &["", ""], 403);
        bearer(None, &["", ""], 403);
    }

    fn json(content_type: Option<&str>, length: &str, expected: u16) {
        let mut headers = vec![("content-length", length)];
        headers.extend(content_type.map(|c| ("content-type", c)));
        assert_eq!(require_json(&head(&headers), 10).err().map_or(200, |p| p.status.as_u16()), expected);
    }

    #[test]
    fn media_type_before_length() {
        json(Some("application/json"), "10", 200);
        json(Some("Application/JSON; charset=utf-8"), "10", 200);
        json(Some("application/json"), "11", 413);
        json(Some("text/plain"), "11", 415);
        json(Some("application/json5"), "1", 415);
        json(None, "1", 415);
    }
}
