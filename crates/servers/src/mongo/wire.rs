//! One administrative command to a MongoDB server, over a connection of its own.
//!
//! OP_MSG of MongoDB's wire protocol: a header of four little-endian 32-bit integers (length, request id, the answered
//! request's id, operation), flags, and one section of kind 0 that holds the document.

use std::io;

use bson::Document;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const OP_MSG: i32 = 2013;
const HEADER_BYTES: usize = 16;
/// Flags, and the section's kind.
const PREFIX_BYTES: usize = 5;
/// The server's own limit for a message.
const ANSWER_BYTES_MAX: usize = 48_000_000;

/// Sends `command` to the server on `port` and returns its reply.
pub(super) async fn call(port: u16, command: &Document) -> io::Result<Document> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let body = bson::serialize_to_vec(command).map_err(io::Error::other)?;
    let length = i32::try_from(HEADER_BYTES + PREFIX_BYTES + body.len()).map_err(io::Error::other)?;
    let mut request = Vec::new();
    for field in [length, 1, 0, OP_MSG, 0] {
        request.extend(field.to_le_bytes());
    }
    request.push(0);
    request.extend(body);
    server.write_all(&request).await?;
    let length = usize::try_from(server.read_i32_le().await?).map_err(io::Error::other)?;
    if !(HEADER_BYTES + PREFIX_BYTES..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length - 4];
    server.read_exact(&mut answer).await?;
    bson::deserialize_from_slice(&answer[HEADER_BYTES - 4 + PREFIX_BYTES..]).map_err(io::Error::other)
}
