//! Open gaps of the log, as consumers record them in MongoDB.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff::pause;
use crate::report::Chain;
use crate::store::{Gap, Store};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks for open gaps until shutdown. While MongoDB is away the last answer stands: publishing does not wait for it.
pub(super) async fn watch(store: Store, topic: String, open: watch::Sender<Vec<Gap>>, shutdown: CancellationToken) {
    loop {
        let answer = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            answer = store.open_gaps(&topic) => answer,
        };
        match answer {
            Ok(gaps) => {
                open.send_if_modified(|now| {
                    let changed = *now != gaps;
                    *now = gaps;
                    changed
                });
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "open gaps are unknown"),
        }
        if !pause(INTERVAL, &shutdown).await {
            return;
        }
    }
}

/// Those gaps for which the outbox at `url` has not sent again, and which are not in `done` either: MongoDB's answer
/// may be a second old.
pub(super) fn waiting_for(url: &str, gaps: &[Gap], done: &[(i32, i64)]) -> Vec<Gap> {
    let waits =
        |gap: &&Gap| !gap.resent.iter().any(|resent| resent.url == url) && !done.contains(&(gap.partition, gap.epoch));
    gaps.iter().filter(waits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{GapReason, Resent};

    #[test]
    fn a_gap_waits_for_each_outbox_until_it_has_sent_again() {
        let resent = Resent { url: "http://a/".into(), outbox_id: "x".into(), from_offset: 0, run: None };
        let gap = Gap {
            topic: "t".into(),
            partition: 3,
            epoch: 9,
            reason: GapReason::Recreated,
            topic_id: "id".into(),
            resume_at: 0,
            records: 0,
            resumed: false,
            resent: vec![resent],
        };
        let gaps = [gap];
        assert!(waiting_for("http://a/", &gaps, &[]).is_empty());
        assert_eq!(waiting_for("http://b/", &gaps, &[]).len(), 1);
        assert!(waiting_for("http://b/", &gaps, &[(3, 9)]).is_empty());
        assert_eq!(waiting_for("http://b/", &gaps, &[(3, 8)]).len(), 1);
    }
}
