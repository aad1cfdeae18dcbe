//! Notices rows that Kafka acknowledged and lost without a trace: brokers do not fsync, so the end of a log can vanish
//! with a machine. Pure.
//!
//! The sign: the consumer group has passed what was the end of the row's partition some time after the row was
//! published, and yet the row is not settled. What the group has passed is stored or dead-lettered, so such a row is in
//! no log. Other partitions and later traffic do not matter.

use std::collections::BTreeMap;

use wiber_model::outbox::UnsettledRow;

use crate::kafka::lag::{Lag, Standing};

/// Most doublings of the measurements that a row must outlast which was sent again and stays unsettled: 5 s × 2^7 are
/// about ten minutes.
const DOUBLINGS_MAX: u32 = 7;

/// Watches the lowest unsettled row of each partition.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    suspects: BTreeMap<i32, Suspect>,
    /// How often the row at this position was found in a row.
    found: BTreeMap<i32, (i64, u32)>,
}

#[derive(Debug)]
struct Suspect {
    position: i64,
    /// The first measurement that began after the row was seen as published.
    since_round: u64,
    /// The log's end in it.
    end: Option<i64>,
}

impl Forgotten {
    /// Takes the lowest published and unsettled row of each partition, a measurement that had ended before they were asked
    /// for, and the round of the latest one. Returns the position of a row that is forgotten, if there is one; all begins
    /// anew then.
    pub(super) fn look(&mut self, lowest: &BTreeMap<i32, UnsettledRow>, lag: &Lag, latest_round: u64) -> Option<i64> {
        self.suspects
            .retain(|partition, suspect| lowest.get(partition).is_some_and(|row| row.position == suspect.position));
        let mut ripe = Vec::new();
        for (partition, row) in lowest {
            // The next measurement may have begun before the row was published.
            let new = || Suspect { position: row.position, since_round: latest_round + 2, end: None };
            let suspect = self.suspects.entry(*partition).or_insert_with(new);
            let standing = usize::try_from(*partition).ok().and_then(|p| *lag.partitions.get(p)?);
            if standing.is_some_and(|standing| suspect.is_passed(standing, lag.round)) {
                ripe.push((*partition, row.position, suspect.since_round));
            }
        }
        let times = |partition: i32, position: i64| {
            self.found.get(&partition).filter(|(before, _)| *before == position).map_or(0, |(_, times)| *times)
        };
        let outlasted = |&&(partition, position, since_round): &&(i32, i64, u64)| {
            lag.round >= since_round + (1 << times(partition, position).min(DOUBLINGS_MAX)) - 1
        };
        let found = ripe.iter().find(outlasted).map(|(_, position, _)| *position)?;
        // All that stay are sent again together, so each that was ripe has had its turn.
        let turns =
            ripe.iter().map(|&(partition, position, _)| (partition, (position, times(partition, position) + 1)));
        self.found = turns.collect();
        self.suspects.clear();
        Some(found)
    }

    /// Rows are being sent again: what was measured before says nothing about them.
    pub(super) fn begin_anew(&mut self) {
        self.suspects.clear();
    }
}

impl Suspect {
    fn is_passed(&mut self, standing: Standing, round: u64) -> bool {
        if round < self.since_round {
            return false;
        }
        let end = *self.end.get_or_insert(standing.end);
        // A log that was cut since then is passed at its new end.
        standing.reached >= end.min(standing.end)
    }
}

#[cfg(test)]
mod tests {
    use wiber_model::MessageId;

    use super::*;

    fn rows(rows: &[(i32, i64)]) -> BTreeMap<i32, UnsettledRow> {
        let row = |&(partition, position): &(i32, i64)| {
            (partition, UnsettledRow { position, message_id: MessageId::new(position, [0; 10]), partition })
        };
        rows.iter().map(row).collect()
    }

    /// Where the group is and where the log ends, of partitions 0 and 1.
    fn lag(round: u64, standings: [Option<(i64, i64)>; 2]) -> Lag {
        let standing = |s: Option<(i64, i64)>| s.map(|(reached, end)| Standing { reached, end });
        Lag { partitions: standings.map(standing).into(), round }
    }

    fn look(forgotten: &mut Forgotten, lowest: &BTreeMap<i32, UnsettledRow>, lag: &Lag) -> Option<i64> {
        forgotten.look(lowest, lag, lag.round)
    }

    #[test]
    fn a_row_is_forgotten_once_the_group_has_passed_an_end_measured_after_it() {
        let mut forgotten = Forgotten::default();
        let lowest = rows(&[(0, 7)]);
        assert_eq!(look(&mut forgotten, &lowest, &lag(5, [Some((9, 9)), None])), None);
        assert_eq!(look(&mut forgotten, &lowest, &lag(6, [Some((9, 9)), None])), None, "it may have begun too early");
        assert_eq!(look(&mut forgotten, &lowest, &lag(7, [Some((8, 9)), None])), None, "one record is not passed yet");
        assert_eq!(look(&mut forgotten, &lowest, &lag(8, [Some((9, 50)), None])), Some(7));
        assert_eq!(look(&mut forgotten, &lowest, &lag(9, [Some((50, 50)), None])), None, "it was sent again");
    }

    #[test]
    fn traffic_and_other_partitions_hide_nothing() {
        let mut forgotten = Forgotten::default();
        let lowest = rows(&[(0, 7), (1, 3)]);
        for round in 0..3 {
            // Partition 1 stands still; partition 0 is never at its end.
            let reached = 100 * round;
            let lag = lag(round as u64, [Some((reached, reached + 80)), Some((0, 40))]);
            assert_eq!(look(&mut forgotten, &lowest, &lag), None, "{round}");
        }
        assert_eq!(look(&mut forgotten, &lowest, &lag(3, [Some((300, 380)), Some((0, 40))])), Some(7));
    }

    #[test]
    fn a_log_that_was_cut_is_passed_at_its_new_end() {
        let mut forgotten = Forgotten::default();
        let lowest = rows(&[(1, 7)]);
        look(&mut forgotten, &lowest, &lag(0, [None, Some((10, 100))]));
        assert_eq!(look(&mut forgotten, &lowest, &lag(2, [None, Some((10, 100))])), None);
        assert_eq!(look(&mut forgotten, &lowest, &lag(3, [None, Some((10, 90))])), None);
        assert_eq!(look(&mut forgotten, &lowest, &lag(4, [None, Some((90, 90))])), Some(7));
    }

    #[test]
    fn another_row_and_a_silent_partition_begin_or_wait() {
        let mut forgotten = Forgotten::default();
        look(&mut forgotten, &rows(&[(0, 7)]), &lag(0, [Some((9, 9)), None]));
        assert_eq!(
            look(&mut forgotten, &rows(&[(0, 8)]), &lag(2, [Some((9, 9)), None])),
            None,
            "another row is the lowest"
        );
        assert_eq!(look(&mut forgotten, &rows(&[(0, 8)]), &lag(4, [None, None])), None, "its broker is silent");
        assert_eq!(look(&mut forgotten, &rows(&[(0, 8)]), &lag(5, [Some((9, 9)), None])), Some(8));
    }

    #[test]
    fn a_row_that_stays_unsettled_is_sent_again_less_and_less_often() {
        let mut forgotten = Forgotten::default();
        let mut found = Vec::new();
        for round in 0..2_000 {
            if look(&mut forgotten, &rows(&[(0, 7)]), &lag(round, [Some((9, 9)), None])).is_some() {
                found.push(round);
            }
        }
        let waits: Vec<u64> = found.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits[..8], [4, 6, 10, 18, 34, 66, 130, 130]);
    }

    #[test]
    fn rows_of_several_partitions_do_not_make_each_other_new() {
        let mut forgotten = Forgotten::default();
        let stuck = rows(&[(0, 7), (1, 3)]);
        let times = (0..2_000)
            .filter(|round| look(&mut forgotten, &stuck, &lag(*round, [Some((9, 9)), Some((4, 4))])).is_some());
        assert!(times.count() < 30, "each is found less and less often");
    }

    #[test]
    fn a_measurement_that_ended_before_a_long_walk_says_nothing_about_what_was_published_during_it() {
        let mut forgotten = Forgotten::default();
        let lowest = rows(&[(0, 7)]);
        assert_eq!(forgotten.look(&lowest, &lag(0, [Some((9, 9)), None]), 10), None);
        assert_eq!(forgotten.look(&lowest, &lag(11, [Some((9, 9)), None]), 11), None);
        assert_eq!(forgotten.look(&lowest, &lag(12, [Some((9, 9)), None]), 12), Some(7));
    }
}
