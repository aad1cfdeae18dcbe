//! Waiting until the whole path of a message works.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wiber_servers::progress::Progress;

const EVERY: Duration = Duration::from_millis(50);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Returns once `GET /health/readiness` is 200. There is no deadline: Kafka and MongoDB may be one's own and come later.
pub(super) async fn wait(port: u16, progress: &Progress) {
    let task = progress.task("Waiting until ready");
    loop {
        let answer = timeout(ANSWER_MAX, readiness(port)).await;
        let state = match answer {
            Ok(Ok((200, _))) => break task.done("host, bridge, Kafka and MongoDB"),
            Ok(Ok((_, body))) => body,
            Ok(Err(error)) => format!("the host does not answer: {error}"),
            Err(_) => "the host does not answer".to_owned(),
        };
        task.now(&state);
        sleep(EVERY).await;
    }
}

/// The status and the body of one GET.
async fn readiness(port: u16) -> std::io::Result<(u16, String)> {
    let mut host = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET /health/readiness HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    host.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    host.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(answer), Some((503, "{}".into())));
        assert_eq!(parse(""), None);
    }
}
