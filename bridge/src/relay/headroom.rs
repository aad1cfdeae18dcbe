//! How long an outbox can go on accepting while nothing is freed. Pure.

use wiber_model::outbox::Statistics;

/// Shown when nothing is accepted: some thirty years.
pub(super) const SECONDS_MAX: f64 = 1e9;
/// Weight of the past after one second: a minute's memory, so that a pause between messages is no calm.
const DECAY_PER_SECOND: f64 = 0.983_5;

/// A smoothed rate of acceptance.
#[derive(Debug, Default)]
pub(super) struct Headroom {
    last: Option<(String, i64)>,
    messages_per_second: f64,
}

impl Headroom {
    /// Takes a reading `elapsed_seconds` after the last one and says how many seconds are left.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows and bytes are far below 2^52")]
    pub(super) fn seconds(&mut self, now: &Statistics, elapsed_seconds: f64) -> f64 {
        match &self.last {
            // A replaced outbox counts from zero.
            Some((id, total)) if *id == now.outbox_id && now.accepted_total >= *total && elapsed_seconds > 0.0 => {
                let rate = (now.accepted_total - total) as f64 / elapsed_seconds;
                let past = DECAY_PER_SECOND.powf(elapsed_seconds);
                self.messages_per_second = self.messages_per_second * past + rate * (1.0 - past);
            }
            _ => self.messages_per_second = 0.0,
        }
        self.last = Some((now.outbox_id.clone(), now.accepted_total));
        let rows_left = (now.rows_max - now.messages - now.keys).max(0) as f64;
        let bytes_left = (now.bytes_max - now.bytes).max(0) as f64;
        let message_bytes = now.bytes as f64 / now.messages.max(1) as f64;
        let left = if message_bytes > 0.0 { rows_left.min(bytes_left / message_bytes) } else { rows_left };
        if left <= 0.0 {
            return 0.0;
        }
        (left / self.messages_per_second).min(SECONDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(accepted_total: i64, messages: i64) -> Statistics {
        Statistics {
            outbox_id: "a".into(),
            accepted_total,
            messages,
            keys: 0,
            bytes: messages * 100,
            rows_max: 1_000,
            bytes_max: 1_000_000,
            oldest_age_ms: 0,
        }
    }

    #[test]
    fn an_idle_outbox_has_all_the_time_and_a_full_one_none() {
        let mut headroom = Headroom::default();
        assert_eq!(headroom.seconds(&reading(0, 0), 2.0), SECONDS_MAX);
        assert_eq!(headroom.seconds(&reading(0, 0), 2.0), SECONDS_MAX);
        assert_eq!(headroom.seconds(&reading(1_000, 1_000), 2.0), 0.0);
    }

    #[test]
    fn a_steady_rate_is_approached_and_headroom_falls_as_the_outbox_fills() {
        let mut headroom = Headroom::default();
        headroom.seconds(&reading(0, 0), 1.0);
        let mut last = SECONDS_MAX;
        for second in 1..=60 {
            let now = headroom.seconds(&reading(second * 10, second * 10), 1.0);
            assert!(now < last, "{now} after {last}");
            last = now;
        }
        // 400 rows are left at 10 a second; the smoothed rate is still somewhat below.
        assert!((40.0..80.0).contains(&last), "{last}");
    }

    #[test]
    fn a_replaced_outbox_starts_anew() {
        let mut headroom = Headroom::default();
        headroom.seconds(&reading(0, 0), 1.0);
        headroom.seconds(&reading(100, 100), 1.0);
        assert_eq!(headroom.seconds(&reading(5, 5), 1.0), SECONDS_MAX);
    }
}
