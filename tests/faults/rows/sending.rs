//! Sends during a fault: where nobody harms the host, each is accepted at once.

use std::time::{Duration, Instant};

use super::{Context, Part, SLACK};
use crate::calm::Calm;

const EVERY: Duration = Duration::from_millis(200);
/// Slower is not accepting.
const ACCEPT_MAX: Duration = Duration::from_secs(1);

/// What became of sends that were made one after the other.
#[derive(Debug, Default)]
pub(super) struct Sends {
    /// The status of each answer; `None` where there was none.
    pub(super) answers: Vec<Option<u16>>,
    pub(super) slowest: Duration,
}

impl Sends {
    /// Sends for so long.
    pub(super) async fn during(context: &Context, length: Duration) -> Self {
        let (began, mut sends) = (Instant::now(), Self::default());
        while began.elapsed() < length {
            let sent = Instant::now();
            sends.answers.push(context.world.tries().await);
            sends.slowest = sends.slowest.max(sent.elapsed());
            tokio::time::sleep(EVERY.min(length.saturating_sub(began.elapsed()))).await;
        }
        sends
    }

    /// Whether all were accepted and soon, as they must be while the host is left alone.
    pub(super) fn all_accepted(&self, host: &Calm) -> Result<(), String> {
        if !host.requires() {
            return Ok(());
        }
        if let Some(other) = self.answers.iter().find(|answer| **answer != Some(200)) {
            return Err(format!("a send was not accepted though only what is behind it was harmed: {other:?}"));
        }
        if self.slowest > ACCEPT_MAX * SLACK {
            return Err(format!("a send took {:.1?} though only what is behind it was harmed", self.slowest));
        }
        Ok(())
    }
}

/// As [`Context::hold`] for a fault behind the host: sends go on. Returns for how long, and the slowest of them.
pub(super) async fn hold_sending(context: &mut Context, from: f64, to: f64) -> Result<(Duration, Duration), String> {
    let (host, length) = (context.calm(&[Part::Host]), context.seconds(from, to));
    let sends = Sends::during(context, length).await;
    sends.all_accepted(&host)?;
    Ok((length, sends.slowest))
}
