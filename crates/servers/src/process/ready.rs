//! Waiting for a program to become ready, by its state.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Process;
use crate::Error;

const EVERY: Duration = Duration::from_millis(50);
const PROBE_MAX: Duration = Duration::from_secs(2);
const SHOWN_LINES: usize = 20;

impl Process {
    /// Asks `probe` until it succeeds.
    ///
    /// # Errors
    /// If the program ends before that, or `deadline` passes; then with what the probe said last.
    pub async fn ready<F: Future<Output = Result<(), String>>>(
        &self,
        deadline: Duration,
        mut probe: impl FnMut() -> F,
    ) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status() {
                let (name, log, tail) = (self.name().to_owned(), self.log().to_path_buf(), self.log_tail(SHOWN_LINES));
                return Err(Error::Ended { name, status, log, tail });
            }
            let seen = match timeout(PROBE_MAX, probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer".to_owned(),
            };
            if began.elapsed() > deadline {
                let (name, log) = (self.name().to_owned(), self.log().to_path_buf());
                return Err(Error::Late { name, seconds: deadline.as_secs(), seen, log });
            }
            sleep(EVERY).await;
        }
    }
}
