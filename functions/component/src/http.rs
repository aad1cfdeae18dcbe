//! Requests in, answers out.

use bytes::Bytes;
use http_body_util::BodyExt;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use wiber_handlers::{Answer, Body, BodyError, Head};

/// A request's body as the handlers read it.
pub struct Incoming(IncomingRequestBody);

impl Body for Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.0.frame().await? {
                // Trailers are not part of the content.
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(_) => return Some(Err(BodyError)),
            }
        }
    }
}

/// Takes a request apart.
pub fn split(request: Request) -> (Head, Incoming) {
    let (head, body) = request.into_parts();
    (head, Incoming(body))
}

/// Wraps an answer's body.
pub fn answer(answer: Answer) -> http::Response<FullBody<Bytes>> {
    answer.map(FullBody::new)
}
