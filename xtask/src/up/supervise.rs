//! Starts again what dies, and gives up on what dies too often.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wiber_servers::progress::Progress;

use super::servers::{Server, Servers};

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const DEATHS_MAX: usize = 5;
/// The time in which deaths are counted, and after which a server that ran is thought healthy.
const WINDOW: Duration = Duration::from_secs(60);

/// Starts again what dies, until that happens too often.
pub(super) async fn keep_alive(servers: &Servers, progress: &Progress) -> anyhow::Error {
    let (sender, mut deaths) = mpsc::channel(DEATHS_MAX);
    // Dropped with this future, so that a stop is not taken for a death.
    let mut watchers = JoinSet::new();
    for server in servers.all() {
        watchers.spawn(keep_one_alive(server, sender.clone(), progress.clone()));
    }
    let mut recent = Recent::default();
    loop {
        // `sender` lives as long as this future, so there is always a next death to wait for.
        let Some(death) = deaths.recv().await else { std::future::pending().await };
        if recent.are_too_many(Instant::now()) {
            return anyhow!(
                "{DEATHS_MAX} deaths within {} s, so something is wrong; the last: {death}",
                WINDOW.as_secs()
            );
        }
    }
}

async fn keep_one_alive(server: Arc<Server>, deaths: mpsc::Sender<String>, progress: Progress) {
    let mut backoff = BACKOFF_MIN;
    let mut since = Instant::now();
    loop {
        let status = server.process().ended().await;
        if since.elapsed() > WINDOW {
            backoff = BACKOFF_MIN;
        }
        let process = server.process();
        let death = format!("{} ended ({status}), its log is {}", process.name(), process.log().display());
        progress.line(&format!("{death}; starting it again in {} s", backoff.as_secs()));
        if deaths.send(death).await.is_err() {
            return;
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
        since = Instant::now();
        match server.start().await {
            Ok(()) => progress.line(&format!("{} runs again (pid {})", process.name(), process.pid())),
            Err(error) => progress.line(&format!("{} did not come back: {error}", process.name())),
        }
    }
}

/// The deaths of the last while.
#[derive(Default)]
struct Recent {
    at: VecDeque<Instant>,
}

impl Recent {
    /// Counts a death at `now`.
    fn are_too_many(&mut self, now: Instant) -> bool {
        self.at.push_back(now);
        while self.at.front().is_some_and(|&first| now.duration_since(first) > WINDOW) {
            self.at.pop_front();
        }
        self.at.len() >= DEATHS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_deaths_within_a_minute_are_too_many_and_five_in_longer_are_not() {
        let start = Instant::now();
        let deaths = |every_s: u64| {
            let mut recent = Recent::default();
            (0..5).map(|n| recent.are_too_many(start + Duration::from_secs(n * every_s))).collect::<Vec<_>>()
        };
        assert_eq!(deaths(15), [false, false, false, false, true]);
        assert_eq!(deaths(16), [false; 5]);
    }
}
