//! What tests pass in for the world.

use std::cell::RefCell;

use bytes::Bytes;

use crate::{Body, BodyError, Bridge, BridgeAnswer, Entropy, Head, Unreachable};

/// A clock that stands and dice that show zero.
pub(crate) struct Fixed;

impl Entropy for Fixed {
    fn now_ms(&self) -> i64 {
        1_758_865_780_040
    }

    fn random(&self) -> u128 {
        0
    }
}

/// A body in pieces of 1,000 bytes.
pub(crate) struct Chunks(Vec<Bytes>);

impl Chunks {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.chunks(1_000).rev().map(Bytes::copy_from_slice).collect())
    }
}

impl Body for Chunks {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.0.pop().map(Ok)
    }
}

/// A bridge that gives one answer and remembers what it was asked.
pub(crate) struct Answering {
    pub(crate) answer: Result<BridgeAnswer, Unreachable>,
    pub(crate) asked: RefCell<Vec<String>>,
}

impl Answering {
    pub(crate) fn with(status: u16, body: &str) -> Self {
        let answer = BridgeAnswer { status, next: None, body: Bytes::copy_from_slice(body.as_bytes()) };
        Self { answer: Ok(answer), asked: RefCell::default() }
    }

    pub(crate) fn and_next(self, next: &str) -> Self {
        Self { answer: self.answer.map(|answer| BridgeAnswer { next: Some(next.to_owned()), ..answer }), ..self }
    }

    pub(crate) fn down() -> Self {
        Self { answer: Err(Unreachable), asked: RefCell::default() }
    }
}

impl Bridge for Answering {
    async fn get(&self, path_and_query: &str) -> Result<BridgeAnswer, Unreachable> {
        self.asked.borrow_mut().push(path_and_query.to_owned());
        self.answer.clone()
    }
}

pub(crate) fn get(uri: &str) -> Head {
    request("GET", uri, &[])
}

pub(crate) fn post(uri: &str, headers: &[(&str, &str)]) -> Head {
    request("POST", uri, headers)
}

pub(crate) fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}
