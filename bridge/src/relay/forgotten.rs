//! Notices rows that Kafka acknowledged and lost without a trace: brokers do not fsync, so the end of a log can vanish
//! with a machine. Pure.
//!
//! The sign: a row stays unsettled although the consumer group has come to the end of every partition, again and again.
//! What the group has passed is stored or dead-lettered, so such a row is in no log.

use wiber_model::outbox::RowRef;

use crate::kafka::lag::Lag;

/// Measurements without lag that a row must outlast: a minute, far beyond any consumer's last commit.
const ROUNDS: u64 = 12;

/// Watches the lowest unsettled row.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    suspect: Option<Suspect>,
}

#[derive(Debug)]
struct Suspect {
    row: RowRef,
    /// The first measurement that counts.
    since_round: u64,
}

impl Forgotten {
    /// Takes the lowest published row that is not settled, and the latest measurement. Returns whether the row is
    /// forgotten, once for each time it has outlasted the measurements.
    pub(super) fn look(&mut self, lowest: Option<&RowRef>, lag: Option<&Lag>) -> bool {
        let (Some(row), Some(lag)) = (lowest, lag.filter(|lag| lag.is_zero())) else {
            self.suspect = None;
            return false;
        };
        match &self.suspect {
            Some(suspect) if suspect.row == *row => {
                let forgotten = lag.round >= suspect.since_round + ROUNDS;
                if forgotten {
                    self.suspect = None;
                }
                forgotten
            }
            _ => {
                // The latest measurement may have begun before the row was published.
                self.suspect = Some(Suspect { row: row.clone(), since_round: lag.round + 1 });
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wiber_model::MessageId;

    use super::*;

    fn row(position: i64) -> RowRef {
        RowRef { position, message_id: MessageId::new(position, [0; 10]) }
    }

    fn lag(round: u64, records: i64) -> Lag {
        Lag { records: vec![0, records], round }
    }

    #[test]
    fn a_row_that_outlasts_the_group_is_forgotten_once() {
        let mut forgotten = Forgotten::default();
        for round in 0..=ROUNDS {
            assert!(!forgotten.look(Some(&row(1)), Some(&lag(round, 0))), "{round}");
        }
        assert!(forgotten.look(Some(&row(1)), Some(&lag(ROUNDS + 1, 0))));
        assert!(!forgotten.look(Some(&row(1)), Some(&lag(ROUNDS + 2, 0))));
    }

    #[test]
    fn lag_another_row_or_no_measurement_begin_anew() {
        for interruption in [Some(lag(5, 1)), None] {
            let mut forgotten = Forgotten::default();
            forgotten.look(Some(&row(1)), Some(&lag(0, 0)));
            forgotten.look(Some(&row(1)), interruption.as_ref());
            assert!(!forgotten.look(Some(&row(1)), Some(&lag(ROUNDS + 1, 0))));
        }
        let mut forgotten = Forgotten::default();
        forgotten.look(Some(&row(1)), Some(&lag(0, 0)));
        assert!(!forgotten.look(Some(&row(2)), Some(&lag(ROUNDS + 1, 0))));
        assert!(!forgotten.look(None, Some(&lag(ROUNDS + 2, 0))));
    }
}
