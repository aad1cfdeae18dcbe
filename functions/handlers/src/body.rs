//! Reading a body: counted while it streams, so that a too large one costs no more than its limit.

use bytes::Bytes;

use crate::problem::Problem;

/// The body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body could not be read to its end")]
pub struct BodyError;

/// A body, piece by piece.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Body {
    /// The next piece, None at the end.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>>;
}

/// Reads a whole body of at most `bytes_max` bytes.
pub(crate) async fn read(body: &mut impl Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|e| Problem::bad_request("body-incomplete", e.to_string()))?;
        if whole.len() + piece.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
