//! A body that is watched while it streams: its size, and that it keeps coming.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;
use wasmtime_wasi_http::Error;

/// Slowest average that [`Pace::Average`] accepts once its grace is used up.
const BYTES_PER_S_MIN: u64 = 1024;

/// How fast a body must come. Only waiting counts: a reader that does not ask stops the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Longest pause between two pieces.
    Pause(Duration),
    /// Grace, after which the average from the start must reach 1 KiB/s: a byte now and then does not help.
    Average(Duration),
}

/// A watched body.
pub(crate) struct Watched<B> {
    inner: B,
    pace: Pace,
    bytes: u64,
    bytes_max: u64,
    /// When the wait began that the pace counts from.
    waiting: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    failed: bool,
    _request: Option<TaskTrackerToken>,
}

impl<B> Watched<B> {
    /// Watches `inner`; `request` is held until the body is dropped.
    pub(crate) fn new(inner: B, pace: Pace, bytes_max: u64, request: Option<TaskTrackerToken>) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { inner, pace, bytes: 0, bytes_max, waiting: None, timer, failed: false, _request: request }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let deadline = match self.pace {
            Pace::Pause(pause) => waiting + pause,
            Pace::Average(grace) => {
                waiting + grace + Duration::from_millis(self.bytes.saturating_mul(1000) / BYTES_PER_S_MIN)
            }
        };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx)
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        if matches!(self.pace, Pace::Pause(_)) {
            self.waiting = None;
        }
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.bytes > self.bytes_max { Err(Error::HttpRequestBodySize(Some(self.bytes_max))) } else { Ok(frame) }
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => this.count(frame),
            Poll::Ready(Some(Err(error))) => Err(error.into()),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(this.poll_late(cx));
                Err(Error::ConnectionReadTimeout)
            }
        };
        this.failed = frame.is_err();
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    async fn read(pieces: usize, every: Duration, size: usize, pace: Pace, max: u64) -> Result<usize, String> {
        let pieces = stream::iter(0..pieces).then(|_| async move {
            tokio::time::sleep(every).await;
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))
        });
        let body = Watched::new(StreamBody::new(Box::pin(pieces)), pace, max, None);
        body.collect().await.map(|collected| collected.to_bytes().len()).map_err(|error| error.to_string())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn sizes_at_and_above_the_limit() {
        let pace = Pace::Pause(2 * SECOND);
        assert_eq!(read(4, SECOND, 5, pace, 20).await, Ok(20));
        assert!(read(4, SECOND, 5, pace, 19).await.unwrap_err().contains("19"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_too_long_ends_the_body() {
        assert_eq!(read(9, SECOND, 1, Pace::Pause(2 * SECOND), 99).await, Ok(9));
        assert!(read(9, 3 * SECOND, 1, Pace::Pause(2 * SECOND), 99).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_too_slow_but_a_slow_line_is_not() {
        let pace = Pace::Average(20 * SECOND);
        let begun = Instant::now();
        assert!(read(99, 5 * SECOND, 1, pace, u64::MAX).await.is_err());
        assert!(begun.elapsed() < 21 * SECOND);
        assert_eq!(read(99, SECOND, 8 * 1024, pace, u64::MAX).await, Ok(99 * 8 * 1024));
        assert_eq!(read(3, 5 * SECOND, 1, pace, u64::MAX).await, Ok(3));
    }
}
