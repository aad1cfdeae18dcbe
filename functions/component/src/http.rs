//! Requests in, answers out, on WASI's own interface: the SDK's requests and responses cost four more calls to the host
//! for what no handler asks, and two more waits for the end of a body whose length is known.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Request, Response};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use wiber_handlers::{Answer, Body, BodyError, Head};

use crate::companion::Companion;
use crate::large::Share;

/// Most bytes that are read of a body at first: what a request holds that sends nothing.
const FIRST_BYTES_MAX: u64 = 16 * 1024;
/// Most bytes that are read of a body at once.
const PIECE_BYTES_MAX: u64 = 64 * 1024;

/// Makes `$handle` what the component answers requests with: an async function of [`Head`] and [`Incoming`] to an
/// [`Answer`].
#[macro_export]
macro_rules! service {
    ($handle:path) => {
        struct Component;

        spin_sdk::wasip3::http::service::export!(Component);

        impl spin_sdk::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: spin_sdk::wasip3::http::types::Request,
            ) -> Result<spin_sdk::wasip3::http::types::Response, spin_sdk::wasip3::http::types::ErrorCode> {
                $crate::serve(request, $handle).await
            }
        }
    };
}

/// Answers a request with what `decide` makes of it.
///
/// # Errors
/// If it is none that a handler can be asked.
pub async fn serve(
    request: Request,
    decide: impl AsyncFnOnce(&Head, &mut Incoming) -> Answer,
) -> Result<Response, ErrorCode> {
    let companion = Companion::spawn();
    let outcome = async {
        let head = head(&request)?;
        let mut body = Incoming::new(request, &head.headers);
        let answer = decide(&head, &mut body).await;
        let share = body.share;
        fields(answer.headers()).map(|fields| (answer, fields, share))
    };
    match outcome.await {
        Ok((answer, fields, share)) => Ok(respond(answer, fields, share, companion)),
        Err(error) => {
            companion.end();
            Err(error)
        }
    }
}

fn head(request: &Request) -> Result<Head, ErrorCode> {
    let invalid = |error: http::Error| ErrorCode::InternalError(Some(error.to_string()));
    let method: http::Method = request.get_method().try_into().map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let path = request.get_path_with_query().unwrap_or_default();
    let (mut head, ()) = http::Request::builder().method(method).uri(path).body(()).map_err(invalid)?.into_parts();
    head.headers = request.get_headers().try_into()?;
    Ok(head)
}

/// A request's body as the handlers read it.
pub struct Incoming {
    state: State,
    /// How many bytes are still to come, where that is known.
    rest: Option<u64>,
    has_begun: bool,
    share: Share,
}

enum State {
    Untouched(Request),
    Open {
        pieces: StreamReader<u8>,
        /// Tells why a body broke off.
        ended: FutureReader<Result<Option<Fields>, ErrorCode>>,
        /// Tells the host that nothing was wrong with the body, once it is dropped.
        _read: FutureWriter<Result<(), ErrorCode>>,
    },
    Closed,
}

impl Incoming {
    fn new(request: Request, headers: &HeaderMap) -> Self {
        // Beside an encoding a length says nothing (RFC 9112, section 6.3).
        let length = headers.get(CONTENT_LENGTH).filter(|_| !headers.contains_key(TRANSFER_ENCODING));
        let rest = length.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        Self { state: State::Untouched(request), rest, has_begun: false, share: Share::default() }
    }

    /// The next bytes; none where the body has ended.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        if self.rest == Some(0) {
            self.state = State::Closed;
        }
        loop {
            match std::mem::replace(&mut self.state, State::Closed) {
                State::Closed => return Ok(None),
                State::Untouched(request) => {
                    let (read, reader) = wit_future::new(|| Ok(()));
                    let (pieces, ended) = Request::consume_body(request, reader);
                    self.state = State::Open { pieces, ended, _read: read };
                }
                State::Open { mut pieces, ended, _read } => {
                    let most = if self.has_begun { PIECE_BYTES_MAX } else { FIRST_BYTES_MAX };
                    let wanted = self.rest.map_or(most, |rest| rest.min(most));
                    let (result, piece) = pieces.read(Vec::with_capacity(usize::try_from(wanted).unwrap_or(0))).await;
                    if !piece.is_empty() {
                        self.has_begun = true;
                        self.rest = self.rest.map(|rest| rest.saturating_sub(piece.len() as u64));
                        self.state = State::Open { pieces, ended, _read };
                        return Ok(Some(piece));
                    }
                    if matches!(result, StreamResult::Complete(_)) {
                        self.state = State::Open { pieces, ended, _read };
                        continue;
                    }
                    // Trailers are not part of the content.
                    return ended.await.map(|_| None).map_err(|_| BodyError::Incomplete);
                }
            }
        }
    }
}

impl Body for Incoming {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        match self.piece().await {
            Ok(Some(piece)) if self.share.grow(piece.len()).await => Some(Ok(piece.into())),
            Ok(None) if self.share.complete().await => None,
            Ok(_) => Some(Err(BodyError::NoRoom)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn fields(headers: &HeaderMap) -> Result<Fields, ErrorCode> {
    let entry =
        |(name, value): (&http::HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    let entries: Vec<_> = headers.iter().map(entry).collect();
    Fields::from_list(&entries).map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
}

/// The answer, whose body is written while the host sends it. It is about as long as the request's, so that the share
/// of that counts until then.
fn respond(answer: Answer, fields: Fields, share: Share, companion: Companion) -> Response {
    let status = answer.status();
    let bytes = answer.into_body();
    let (ended, trailers) = wit_future::new(|| Ok(None));
    let (writer, content) = if bytes.is_empty() { (None, None) } else { Some(wit_stream::new()).unzip() };
    let (response, _sent) = Response::new(fields, content, trailers);
    if status != StatusCode::OK {
        // A status of the http crate is always one.
        let _ = response.set_status_code(status.as_u16());
    }
    spawn(async move {
        if let Some(mut writer) = writer {
            // What is left was for a client that has gone.
            let _ = writer.write_all(bytes.into()).await;
        }
        drop(share);
        let _ = ended.write(Ok(None)).await;
        companion.end();
    });
    response
}
