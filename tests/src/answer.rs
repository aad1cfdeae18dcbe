//! One HTTP answer, and what is asserted of it.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// Media type of errors (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for failures.
    pub call: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header's value, if it is there once.
    ///
    /// # Panics
    /// If it is there more than once or is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice in {self}");
        Some(value.to_str().unwrap_or_else(|_| panic!("{name} is not ASCII in {self}")))
    }

    /// Asserts the status.
    ///
    /// # Panics
    /// If it is another.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON or is not called so.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        let media = self.header("content-type").unwrap_or_default();
        assert!(media == "application/json" || media == PROBLEM, "content-type is {media:?} in {self}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// The body as a JSON array.
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn array(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(items) => items,
            _ => panic!("not an array: {self}"),
        }
    }

    /// Asserts a problem document with this status and returns it.
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("content-type"), Some(PROBLEM), "{self}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self}");
        for member in ["type", "title", "detail", "code"] {
            let text = problem[member].as_str();
            assert!(text.is_some_and(|text| !text.is_empty()), "member {member} is missing in {self}");
        }
        problem
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(800).collect();
        write!(f, "{} -> {} {:?}\n{body}", self.call, self.status, self.headers)
    }
}
