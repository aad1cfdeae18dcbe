//! Whether a broker serves clients: it answers ApiVersions, and its metadata lists it among the live brokers.
//!
//! Kafka's wire format: developers' guide, "Protocol"; the oldest version of each request, which brokers keep.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
/// Larger than any answer to the two requests.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Succeeds once the broker `node_id` serves on `port`; else says how far it is.
pub(super) async fn serves(port: u16, node_id: u32) -> Result<(), String> {
    let mut broker = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| format!("connecting: {error}"))?;
    call(&mut broker, API_VERSIONS, 0, &[]).await.map_err(|error| format!("ApiVersions: {error}"))?;
    // Version 1: an empty list of topics asks for no topic.
    let answer =
        call(&mut broker, METADATA, 1, &0_i32.to_be_bytes()).await.map_err(|error| format!("Metadata: {error}"))?;
    let live = brokers(&answer).ok_or("Metadata: an answer that ends early")?;
    if live.iter().any(|&id| u32::try_from(id) == Ok(node_id)) { Ok(()) } else { Err("not yet a live broker".into()) }
}

async fn call(broker: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let client = b"wiber";
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(5_i16.to_be_bytes());
    request.extend(client);
    request.extend(body);
    let length = i32::try_from(request.len()).map_err(io::Error::other)?;
    broker.write_i32(length).await?;
    broker.write_all(&request).await?;
    let length = usize::try_from(broker.read_i32().await?).map_err(io::Error::other)?;
    if length > ANSWER_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    broker.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The node ids in a Metadata answer of version 1: correlation id, then an array of id, host, port and rack.
fn brokers(mut answer: &[u8]) -> Option<Vec<i32>> {
    let _correlation = take::<4>(&mut answer)?;
    let count = i32::from_be_bytes(take(&mut answer)?);
    (0..count).map(|_| broker(&mut answer)).collect()
}

fn broker(answer: &mut &[u8]) -> Option<i32> {
    let id = i32::from_be_bytes(take(answer)?);
    skip_text(answer)?;
    let _port = take::<4>(answer)?;
    skip_text(answer)?;
    Some(id)
}

/// A text is a length of two bytes, -1 for none, and as many bytes.
fn skip_text(answer: &mut &[u8]) -> Option<()> {
    let length = i16::from_be_bytes(take(answer)?).max(0);
    *answer = answer.get(usize::try_from(length).ok()?..)?;
    Some(())
}

fn take<const N: usize>(answer: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = answer.split_first_chunk()?;
    *answer = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_brokers_are_read() {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 2];
        for id in [7_u8, 9] {
            answer.extend([0, 0, 0, id, 0, 2, b'h', b'o', 0, 0, 1, 1, 0xff, 0xff]);
        }
        assert_eq!(brokers(&answer), Some(vec![7, 9]));
        assert_eq!(brokers(&answer[..answer.len() - 1]), None);
        assert_eq!(brokers(&[0, 0, 0, 1, 0, 0, 0, 0]), Some(vec![]));
    }
}
