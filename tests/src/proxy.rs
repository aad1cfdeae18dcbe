//! A TCP link that can be cut, paused, healed and led elsewhere.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Cut,
    Paused,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    state: State,
    target: SocketAddr,
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
        let port = crate::ports::reserve();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the reserved port is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (link, seen) = watch::channel(Link { state: State::Open, target });
        Self { address, link, task: tokio::spawn(accept(listener, seen)) }
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and each new one at once.
    pub fn cut(&self) {
        self.link.send_modify(|link| link.state = State::Cut);
    }

    /// Keeps connections and passes nothing on: to both sides the other hangs.
    pub fn pause(&self) {
        self.link.send_modify(|link| link.state = State::Paused);
    }

    /// Passes bytes on again.
    pub fn heal(&self) {
        self.link.send_modify(|link| link.state = State::Open);
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
    let Ok(target) = link.wait_for(|link| link.state != State::Paused).await.map(|link| *link) else { return };
    if target.state == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target.target).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    tokio::select! {
        () = pump(near_reader, far_writer, link.clone()) => {}
        () = pump(far_reader, near_writer, link.clone()) => {}
        _ = link.wait_for(|link| link.state == State::Cut) => {}
    }
}

async fn pump(mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let mut chunk = vec![0_u8; 64 * 1024];
    while let Ok(length @ 1..) = reader.read(&mut chunk).await {
        if link.wait_for(|link| link.state != State::Paused).await.is_err() {
            return;
        }
        if writer.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
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
}
