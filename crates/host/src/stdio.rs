//! What components print: each line becomes a log line of the host with the component's name.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::app::Component;

/// Longest line that is kept together, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// A component's stdout or stderr. Lines are logged as they are written, so that the last words before a trap are not
/// lost.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    component: Arc<Component>,
    stream: &'static str,
    /// What has no line end yet.
    partial: Arc<Mutex<Vec<u8>>>,
}

impl GuestOutput {
    pub(crate) fn new(component: Arc<Component>, stream: &'static str) -> Self {
        Self { component, stream, partial: Arc::default() }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// WASI 0.3's own stdout, which Rust's standard library does not use.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::stderr())
    }
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in &bytes {
            if byte != b'\n' {
                partial.push(byte);
            }
            if byte == b'\n' || partial.len() == LINE_BYTES_MAX {
                let line = String::from_utf8_lossy(&partial);
                tracing::info!(component = self.component.name, stream = self.stream, "{line}");
                partial.clear();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}
