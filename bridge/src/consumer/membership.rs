//! Notices a client that is of no more use though Kafka is well. Only a new client helps then.
//!
//! Since 2.10 librdkafka forgets a broker that the cluster does not list, for however short a time, and may never again
//! look for the group's coordinator where that was the broker (confluentinc/librdkafka issue 5511); and it may never use
//! a partition again that was without a leader for a moment (issue 5430).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::kafka::Outage;

/// Time between two looks at the client's own statistics, milliseconds.
pub(super) const STATISTICS_MS: &str = "2000";
/// How long a client may at least be outside of its group while Kafka is well; and in sessions, since a rebalance waits
/// for a member that is gone as long as its session lasts.
const OUTSIDE_MIN: Duration = Duration::from_secs(20);
const OUTSIDE_SESSIONS: u32 = 2;
/// How long Kafka must have been well before a client that saw partitions without leaders is replaced: leaders that come
/// and go would otherwise replace it again and again.
const CALM_MIN: Duration = Duration::from_secs(5);

/// The part of librdkafka's statistics (STATISTICS.md) that says how a client stands with its group.
#[derive(Deserialize)]
struct Statistics {
    cgrp: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    state: String,
    join_state: String,
}

/// Watches one client.
#[derive(Debug)]
pub(super) struct Membership {
    outside_max: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    outside: Outage,
    leaderless: bool,
    /// Runs while Kafka is well: an outage of trouble.
    calm: Outage,
}

impl Membership {
    /// Watches a client with sessions of this length.
    pub(super) fn new(session: Duration) -> Self {
        Self { outside_max: OUTSIDE_MIN.max(session * OUTSIDE_SESSIONS), seen: Mutex::default() }
    }

    /// The client met partitions without leaders.
    pub(super) fn leaderless(&self) {
        self.seen().leaderless = true;
    }

    /// Takes the client's statistics, and whether Kafka is well: it answers and every partition can be used. Returns why
    /// the client must be replaced, if it must.
    pub(super) fn observe(&self, statistics: &[u8], kafka_is_well: bool, now: Instant) -> Option<&'static str> {
        let mut seen = self.seen();
        let calm = seen.calm.note(!kafka_is_well, now);
        if seen.leaderless && calm >= CALM_MIN {
            return Some("it may have lost partitions that were without a leader for a moment");
        }
        // Without a word about the group nothing can be said of it.
        let inside = is_member(statistics)?;
        let outside = seen.outside.note(inside || !kafka_is_well, now);
        (outside >= self.outside_max).then_some("it has long been outside of the group though Kafka is well")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_member(statistics: &[u8]) -> Option<bool> {
    let group = serde_json::from_slice::<Statistics>(statistics).ok()?.cgrp?;
    Some(group.state == "up" && group.join_state == "steady")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(state: &str, join_state: &str) -> Vec<u8> {
        format!(r#"{{"name":"x","cgrp":{{"state":"{state}","join_state":"{join_state}","assignment_size":3}}}}"#)
            .into_bytes()
    }

    #[test]
    fn a_member_is_up_and_steady() {
        assert_eq!(is_member(&statistics("up", "steady")), Some(true));
        assert_eq!(is_member(&statistics("up", "wait-join")), Some(false));
        assert_eq!(is_member(&statistics("wait-broker-transport", "steady")), Some(false));
        assert_eq!(is_member(b"{}"), None);
        assert_eq!(is_member(b"nonsense"), None);
    }

    #[test]
    fn only_a_long_time_outside_while_kafka_is_well_counts() {
        let begin = Instant::now();
        let outside = statistics("wait-broker-transport", "init");
        let watch = Membership::new(Duration::from_secs(6));
        let at = |seconds: u64, kafka_is_well: bool| {
            watch.observe(&outside, kafka_is_well, begin + Duration::from_secs(seconds)).is_some()
        };
        assert!(!at(0, true));
        assert!(!at(19, true));
        assert!(at(20, true));
        assert!(!at(40, false));
        assert!(!at(100, true));
        assert!(!at(119, true));
        assert_eq!(watch.observe(&statistics("up", "steady"), true, begin + Duration::from_secs(120)), None);
        assert!(!at(121, true));
        assert!(at(141, true));
    }

    #[test]
    fn a_client_that_met_partitions_without_leaders_is_replaced_once_all_is_calm() {
        let begin = Instant::now();
        let inside = statistics("up", "steady");
        let watch = Membership::new(Duration::from_secs(6));
        let at = |seconds: u64, kafka_is_well: bool| {
            watch.observe(&inside, kafka_is_well, begin + Duration::from_secs(seconds)).is_some()
        };
        assert!(!at(0, true));
        assert!(!at(60, true));
        watch.leaderless();
        assert!(!at(61, false));
        assert!(!at(62, true));
        assert!(!at(66, true));
        assert!(at(67, true));
    }
}
