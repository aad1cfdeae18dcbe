//! What is read behind a gap, against a relay that wakes up late: which appends [`Repeats`] bears, and which it does not.

use proptest::prelude::*;

use super::gap::Repeats;
use crate::store::{Gap, GapReason, Resent};
use wiber_model::record::source;

/// A record of the one outbox and conversation: its row, and whether the run that sent all again made it.
type Record = (i64, bool);

/// A partition's log from the gap on.
struct Log {
    records: Vec<Record>,
    /// The log's end when sending again began.
    from: usize,
}

impl Log {
    /// `settled` rows are stored; all others up to `last` are sent again in order, from `from` on. `late` are a stale
    /// relay's appends, each before so many of the records that are there.
    fn new(settled: i64, last: i64, before: Vec<i64>, late: &[(i64, usize)]) -> Self {
        let mut log = Self { from: before.len(), records: before.into_iter().map(|row| (row, false)).collect() };
        log.records.extend((settled + 1..=last).map(|row| (row, true)));
        for (n, (row, at)) in late.iter().enumerate() {
            let at = (log.from + n + at).min(log.records.len());
            log.records.insert(at, (*row, false));
        }
        log
    }

    /// The order in which rows are stored by today's rule, with what an outbox repeats above `from`.
    fn passed_over_below(&self, from: usize) -> Vec<i64> {
        let resent = Resent { url: "u".into(), outbox_id: "x".into(), from_offset: i64::try_from(from).unwrap() };
        let gap = Gap {
            topic: "t".into(),
            partition: 0,
            epoch: 1,
            reason: GapReason::LogStart,
            topic_id: "t".into(),
            resume_at: 0,
            records: 0,
            resumed: true,
            resent: vec![resent],
        };
        let (repeats, outbox) = (Repeats::of(&gap), source("x"));
        let read = (0_i64..).zip(&self.records).filter(|(offset, _)| !repeats.covers(Some(&outbox), *offset));
        first_appearances(read.map(|(_, (row, _))| *row))
    }

    /// The order if the run's own records were read first, and then all of them.
    fn read_twice(&self) -> Vec<i64> {
        let run = self.records.iter().filter(|(_, of_run)| *of_run);
        first_appearances(run.chain(&self.records).map(|(row, _)| *row))
    }

    fn first_of_run(&self) -> usize {
        self.records.iter().position(|(_, of_run)| *of_run).unwrap_or(self.records.len())
    }
}

fn first_appearances(rows: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut stored = Vec::new();
    for row in rows {
        if !stored.contains(&row) {
            stored.push(row);
        }
    }
    stored
}

fn unsettled(stored: Vec<i64>, settled: i64) -> Vec<i64> {
    stored.into_iter().filter(|row| *row > settled).collect()
}

proptest! {
    #[test]
    fn order_is_kept_whatever_came_before_sending_again_began(
        settled in 0_i64..6,
        more in 1_i64..8,
        before in prop::collection::vec(1_i64..14, 0..10),
    ) {
        let last = settled + more;
        let before: Vec<i64> = before.into_iter().filter(|row| *row <= last).collect();
        let log = Log::new(settled, last, before, &[]);
        let expected: Vec<i64> = (settled + 1..=last).collect();
        prop_assert_eq!(unsettled(log.passed_over_below(log.from), settled), expected);
    }

    #[test]
    fn read_twice_order_is_kept_whatever_a_stale_relay_appends_meanwhile(
        settled in 0_i64..6,
        more in 1_i64..8,
        before in prop::collection::vec(1_i64..14, 0..10),
        late in prop::collection::vec((1_i64..14, 0_usize..12), 0..6),
    ) {
        let last = settled + more;
        let before: Vec<i64> = before.into_iter().filter(|row| *row <= last).collect();
        let late: Vec<(i64, usize)> = late.into_iter().filter(|(row, _)| *row <= last).collect();
        let log = Log::new(settled, last, before, &late);
        let expected: Vec<i64> = (settled + 1..=last).collect();
        prop_assert_eq!(unsettled(log.read_twice(), settled), expected);
    }
}

/// The limit of today's rule: known rows and heads make a repeat harmless, but not a row whose predecessors are lost and
/// come again only later. Beginning at the run's first record narrows this and does not end it.
#[test]
fn a_stale_append_between_the_rows_that_are_sent_again_is_out_of_order() {
    let before_the_run = Log::new(0, 4, vec![], &[(4, 0)]);
    assert_eq!(before_the_run.passed_over_below(before_the_run.from), [4, 1, 2, 3]);
    assert_eq!(before_the_run.passed_over_below(before_the_run.first_of_run()), [1, 2, 3, 4]);
    let within_the_run = Log::new(0, 4, vec![], &[(4, 2)]);
    assert_eq!(within_the_run.passed_over_below(within_the_run.first_of_run()), [1, 2, 4, 3]);
    assert_eq!(within_the_run.read_twice(), [1, 2, 3, 4]);
}
