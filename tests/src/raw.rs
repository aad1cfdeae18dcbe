//! Requests byte for byte, for what a well-behaved client never sends.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::Answer;

const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Sends `parts` one after the other on a new connection and reads one answer; a server may answer and hang up before it
/// has read them all.
///
/// # Panics
/// If no whole answer comes.
pub async fn exchange(base: &str, parts: impl IntoIterator<Item = Bytes>) -> Answer {
    let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let stream =
        TcpStream::connect(&address).await.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    let (mut reader, mut writer) = stream.into_split();
    let parts: Vec<Bytes> = parts.into_iter().collect();
    let call = parts.first().map(|first| String::from_utf8_lossy(first).lines().next().unwrap_or_default().to_owned());
    let call = call.unwrap_or_default();
    let write = async move {
        for part in parts {
            if writer.write_all(&part).await.is_err() {
                break;
            }
        }
        // The answer is awaited with the connection open; the writer is returned so that it stays so.
        writer
    };
    let read = async {
        let mut received = Vec::new();
        loop {
            if let Some(answer) = parse(&call, &received) {
                return answer;
            }
            let mut chunk = [0_u8; 16 * 1024];
            match reader.read(&mut chunk).await {
                Ok(n) if n > 0 => received.extend_from_slice(&chunk[..n]),
                end => panic!("{call}: {end:?} after {:?}", String::from_utf8_lossy(&received)),
            }
        }
    };
    let both = async {
        let writing = std::pin::pin!(write);
        let reading = std::pin::pin!(read);
        match futures::future::select(writing, reading).await {
            futures::future::Either::Left((_writer, reading)) => reading.await,
            futures::future::Either::Right((answer, _)) => answer,
        }
    };
    tokio::time::timeout(TIME_LIMIT, both).await.unwrap_or_else(|_| panic!("no answer within {TIME_LIMIT:?}"))
}

/// An answer, once it is whole: by its `content-length`, which every answer has.
fn parse(call: &str, received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    let length: usize = match headers.get("content-length") {
        Some(value) => value.to_str().ok()?.parse().ok()?,
        None => 0,
    };
    let body = received.get(end + 4..end + 4 + length)?;
    Some(Answer { call: call.to_owned(), status, headers, body: Bytes::copy_from_slice(body) })
}
