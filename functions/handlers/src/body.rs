//! Reading a body: counted while it streams, so that a too large one costs no more than its limit.

use bytes::Bytes;

use crate::problem::Problem;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It broke off.
    #[error("the body could not be read to its end")]
    Incomplete,
    /// Others take all the memory that there is for large bodies.
    #[error("other large bodies take the memory that there is for them; nothing was written")]
    NoRoom,
}

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
        let piece = piece.map_err(|error| match error {
            BodyError::Incomplete => Problem::bad_request("body-incomplete", error.to_string()),
            BodyError::NoRoom => Problem::unavailable("busy", error.to_string()),
        })?;
        if whole.len() + piece.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
