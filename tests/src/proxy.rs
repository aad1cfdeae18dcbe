//! A TCP link that can be cut, paused, slowed, broken, healed and led elsewhere, each direction by itself.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// Chunks on their way in one direction; more wait at the sender.
const CHUNKS_MAX: usize = 64;
/// How much a slow link passes at once.
const SLOW_CHUNK_BYTES: usize = 512;

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// They pass.
    Open,
    /// They wait, and the connection stays.
    Held,
    /// Each arrives so much later.
    Delayed(Duration),
    /// One by one.
    Bytewise,
    /// At most so many a second.
    Slow {
        /// Bytes a second.
        bytes_per_second: u32,
    },
    /// Before each chunk the connection breaks with this probability.
    Breaking {
        /// 0 to 1.
        probability: f64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Link {
    cut: bool,
    /// How often it was cut: what a connection held then never arrives, however soon the link is healed.
    cuts: u64,
    /// From clients to the target.
    forth: Flow,
    /// From the target to clients.
    back: Flow,
    target: SocketAddr,
}

impl Link {
    fn is_held(&self) -> bool {
        self.forth == Flow::Held && self.back == Flow::Held
    }
}

/// A listener on 127.0.0.1 that passes bytes on to its target.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Opens a link to `target`.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start(target: SocketAddr) -> Self {
        Self::start_at(crate::ports::reserve(), target).await
    }

    /// Opens a link on this port of 127.0.0.1.
    ///
    /// # Panics
    /// If it cannot be bound.
    pub async fn start_at(port: u16, target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the reserved port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (link, seen) = watch::channel(Link { cut: false, cuts: 0, forth: Flow::Open, back: Flow::Open, target });
        Self { address, link, task: tokio::spawn(accept(listener, seen)) }
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and each new one at once.
    pub fn cut(&self) {
        self.link.send_modify(|link| (link.cut, link.cuts) = (true, link.cuts + 1));
    }

    /// Keeps connections and passes nothing on: to both sides the other hangs.
    pub fn pause(&self) {
        self.shape(Flow::Held, Flow::Held);
    }

    /// Treats bytes this way, from clients to the target and back.
    pub fn shape(&self, forth: Flow, back: Flow) {
        self.link.send_modify(|link| (link.forth, link.back) = (forth, back));
    }

    /// Passes bytes on again.
    pub fn heal(&self) {
        self.link.send_modify(|link| (link.cut, link.forth, link.back) = (false, Flow::Open, Flow::Open));
    }

    /// Leads new connections to `target`.
    pub fn lead_to(&self, target: SocketAddr) {
        self.link.send_modify(|link| link.target = target);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, link: watch::Receiver<Link>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(carry(stream, link.clone()));
                }
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side or the link ends it; its sockets close when this returns.
async fn carry(near: TcpStream, mut link: watch::Receiver<Link>) {
    let cuts = link.borrow().cuts;
    let is_cut = move |link: &Link| link.cut || link.cuts != cuts;
    let Ok(seen) = link.wait_for(|link| is_cut(link) || !link.is_held()).await.map(|link| *link) else { return };
    if is_cut(&seen) {
        return;
    }
    let Ok(far) = TcpStream::connect(seen.target).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    let (forth, back) = (link.clone(), link.clone());
    tokio::select! {
        // Before anything that was held is passed on.
        biased;
        _ = link.wait_for(is_cut) => {}
        () = pump(near_reader, far_writer, forth, |link| link.forth) => {}
        () = pump(far_reader, near_writer, back, |link| link.back) => {}
    }
}

/// Passes one direction on until its reader ends or it breaks.
async fn pump(mut reader: OwnedReadHalf, writer: OwnedWriteHalf, link: watch::Receiver<Link>, flow: fn(&Link) -> Flow) {
    let (queue, queued) = mpsc::channel(CHUNKS_MAX);
    let read = async move {
        let mut chunk = vec![0_u8; 64 * 1024];
        while let Ok(length @ 1..) = reader.read(&mut chunk).await {
            if queue.send((Instant::now(), chunk[..length].to_vec())).await.is_err() {
                break;
            }
        }
        drop(queue);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = read => {}
        _ = write(queued, writer, link, flow) => {}
    }
}

async fn write(
    mut queued: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut writer: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    flow: fn(&Link) -> Flow,
) -> std::io::Result<()> {
    while let Some((at, chunk)) = queued.recv().await {
        let mut rest: VecDeque<u8> = chunk.into();
        while !rest.is_empty() {
            let Ok(now) = link.wait_for(|link| flow(link) != Flow::Held).await.map(|link| flow(&link)) else {
                return Ok(());
            };
            let length = match now {
                Flow::Open | Flow::Held | Flow::Delayed(_) => rest.len(),
                Flow::Bytewise => 1,
                Flow::Slow { .. } => rest.len().min(SLOW_CHUNK_BYTES),
                Flow::Breaking { probability } if rand::random_bool(probability) => return Ok(()),
                Flow::Breaking { .. } => rest.len(),
            };
            if let Flow::Delayed(delay) = now {
                sleep_until(at + delay).await;
            }
            let piece: Vec<u8> = rest.drain(..length).collect();
            writer.write_all(&piece).await?;
            if let Flow::Slow { bytes_per_second } = now {
                sleep(Duration::from_secs_f64(length as f64 / f64::from(bytes_per_second.max(1)))).await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn it_passes_bytes_pauses_and_cuts() {
        let proxy = Proxy::start(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let mut byte = [0_u8];
        stream.write_all(b"a").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"a");

        proxy.pause();
        stream.write_all(b"b").await.unwrap();
        let silence = tokio::time::timeout(std::time::Duration::from_millis(50), stream.read(&mut byte)).await;
        assert!(silence.is_err(), "a paused link passes nothing");
        proxy.heal();
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");

        proxy.cut();
        assert!(!matches!(stream.read(&mut byte).await, Ok(1..)), "a cut link is closed");
    }

    #[tokio::test]
    async fn what_was_held_when_a_link_was_cut_never_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"a").await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut byte = [0_u8];
        far.read_exact(&mut byte).await.unwrap();
        proxy.pause();
        stream.write_all(b"b").await.unwrap();
        stream.shutdown().await.unwrap();
        proxy.cut();
        proxy.heal();
        assert!(!matches!(far.read(&mut byte).await, Ok(1..)));
    }

    #[tokio::test]
    async fn each_direction_is_shaped_by_itself_and_nothing_is_lost_or_mixed_up() {
        let proxy = Proxy::start(echo().await).await;
        let text: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8).collect();
        let shapes = [
            (Flow::Bytewise, Flow::Open),
            (Flow::Open, Flow::Slow { bytes_per_second: 1_000_000 }),
            (Flow::Delayed(Duration::from_millis(20)), Flow::Delayed(Duration::from_millis(20))),
        ];
        for (forth, back) in shapes {
            proxy.shape(forth, back);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            stream.write_all(&text).await.unwrap();
            let mut echoed = vec![0; text.len()];
            stream.read_exact(&mut echoed).await.unwrap();
            assert!(echoed == text, "{forth:?} {back:?}");
        }
        proxy.shape(Flow::Breaking { probability: 1.0 }, Flow::Open);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"a").await.unwrap();
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)), "it breaks");
    }
}
