//! What components print: each line becomes a log line of the host with the component's name.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Longest line that is kept together, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// A component's stdout or stderr.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    component: Arc<str>,
    stream: &'static str,
    /// What has no line end yet.
    partial: Arc<Mutex<Vec<u8>>>,
}

impl GuestOutput {
    pub(crate) fn new(component: Arc<str>, stream: &'static str) -> Self {
        Self { component, stream, partial: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte != b'\n' {
                partial.push(byte);
            }
            if byte == b'\n' || partial.len() == LINE_BYTES_MAX {
                tracing::info!(
                    component = &*self.component,
                    stream = self.stream,
                    "{}",
                    String::from_utf8_lossy(&partial)
                );
                partial.clear();
            }
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
