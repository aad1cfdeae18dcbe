//! Requests in, answers out.

use bytes::Bytes;
use http_body_util::BodyExt;
use spin_sdk::http::{FullBody, Request};
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use wiber_handlers::{Answer, Body, BodyError, Head};

use crate::large::Share;

/// A request's body as the handlers read it.
pub struct Incoming {
    body: IncomingRequestBody,
    share: Share,
}

impl Body for Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return if self.share.complete().await { None } else { Some(Err(BodyError::NoRoom)) };
            };
            match frame {
                // Trailers are not part of the content.
                Ok(frame) => match frame.into_data() {
                    Ok(data) if self.share.grow(data.len()).await => return Some(Ok(data)),
                    Ok(_) => return Some(Err(BodyError::NoRoom)),
                    Err(_) => continue,
                },
                Err(_) => return Some(Err(BodyError::Incomplete)),
            }
        }
    }
}

/// Takes a request apart.
pub fn split(request: Request) -> (Head, Incoming) {
    let (head, body) = request.into_parts();
    (head, Incoming { body, share: Share::default() })
}

/// Wraps an answer's body.
pub fn answer(answer: Answer) -> http::Response<FullBody<Bytes>> {
    answer.map(FullBody::new)
}

/// Wraps an answer's body, which is about as long as the request's: it counts until it is sent.
pub fn answer_to(request: Incoming, answer: Answer) -> http::Response<FullBody<Bytes>> {
    struct Counted {
        bytes: Bytes,
        _share: Share,
    }

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    answer.map(|bytes| FullBody::new(Bytes::from_owner(Counted { bytes, _share: request.share })))
}
