//! For how long something has been failing. Pure.

use std::time::{Duration, Instant};

/// Time since the last good outcome, as far as bad ones were seen.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
}

impl Outage {
    /// Notes an outcome of `now`. Returns for how long every outcome has been bad: nothing for a good one.
    pub fn note(&mut self, good: bool, now: Instant) -> Duration {
        if good {
            self.since = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_its_first_bad_outcome_to_the_next_good_one() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        assert_eq!(outage.note(true, at(0)), Duration::ZERO);
        assert_eq!(outage.note(false, at(5)), Duration::ZERO);
        assert_eq!(outage.note(false, at(25)), Duration::from_secs(20));
        assert_eq!(outage.note(true, at(26)), Duration::ZERO);
        assert_eq!(outage.note(false, at(90)), Duration::ZERO);
    }
}
