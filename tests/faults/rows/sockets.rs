//! Clients that mean no good.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Context, SLACK};
use crate::injection::{Done, Trouble};

/// The host may keep a connection whose head does not come for so long, and a little more on a busy machine.
const REAPED: Duration = Duration::from_secs(30);

/// Slower is not serving.
const ACCEPT_MAX: Duration = Duration::from_secs(1);
/// What the host may need for two thousand sockets and one endless body, megabytes.
const GROWN_MAX_MB: f64 = 100.0;

/// Two thousand sockets that send a byte now and then, and bodies without an end; others are served all the while.
pub(super) async fn slow(context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let address: SocketAddr =
        world.stack.client.base().trim_start_matches("http://").parse().map_err(|_| "the host's address")?;
    let count = if context.short { 200 } else { 2_000 };
    let (pid, memory) = (world.host().pid(), resident_mb(world.host().pid()));
    let mut sockets = Vec::new();
    for _ in 0..count {
        if let Ok(mut socket) = TcpStream::connect(address).await {
            let _ = socket.write_all(b"P").await;
            sockets.push(socket);
        }
    }
    let endless = tokio::spawn(endless_body(address));
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let (took, _) = world.accepts().await?;
        slowest = slowest.max(took);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let grown = resident_mb(pid) - memory;
    let refused = endless.await.map_err(|error| error.to_string())?;
    let opened = sockets.len();
    for socket in &mut sockets {
        let limit = (REAPED * SLACK).saturating_sub(began.elapsed());
        let mut byte = [0];
        if tokio::time::timeout(limit, socket.read(&mut byte)).await.is_err() {
            return Err(format!("a socket that sent one byte was still open after {:?}", began.elapsed()).into());
        }
    }
    let reaped = began.elapsed();
    refused?;
    if world.host().pid() != pid || opened < count {
        let end = if opened < count { "did not take them all" } else { "did not live through it" };
        return Err(format!("{opened} of {count} slow sockets; the host {end}:\n{}", world.host().log_tail()).into());
    }
    let what = format!(
        "{opened} slow sockets, all closed after {reaped:.1?}; slowest accept {slowest:.2?}, {grown:.0} MB more memory"
    );
    if slowest > ACCEPT_MAX * SLACK || grown > GROWN_MAX_MB {
        return Err(what.into());
    }
    Ok(Done::once(what))
}

/// Memory that a process holds, in megabytes.
fn resident_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// A chunked body that goes on until the host closes or answers.
async fn endless_body(address: SocketAddr) -> Result<(), String> {
    let mut socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let head =
        "POST /messages HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.map_err(|error| error.to_string())?;
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for _ in 0..16_384 {
        if socket.write_all(&chunk).await.is_err() {
            return Ok(());
        }
    }
    Err("the host read a body of one gigabyte".into())
}
