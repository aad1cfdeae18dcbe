//! What is read behind a gap, against relays that wake up late: whatever they append, the order is kept.

use proptest::prelude::*;

use super::gap::{Appended, Repeats};
use crate::store::{Gap, Resent, SentRun};
use wiber_model::record::source;

/// A record of the one outbox and conversation: its row, and whether the run that sent all again made it.
type Record = (i64, bool);

/// The run's number.
const RUN: i64 = 1_000;

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

    /// The order in which rows are stored, with what an outbox repeats above `from`; by the run's marks, or without them.
    fn stored(&self, has_marks: bool) -> Vec<i64> {
        let offset = |index: usize| i64::try_from(index).unwrap();
        let end = self.records.iter().rposition(|(_, of_run)| *of_run).map_or(self.from, |last| last + 1);
        let last_position = self.records.iter().filter(|(_, of_run)| *of_run).map(|(row, _)| *row).max().unwrap_or(0);
        let run = SentRun { number: RUN, last_position, end_offset: offset(end) };
        let (url, outbox_id, from_offset) = ("u".into(), "x".into(), offset(self.from));
        let resent = vec![Resent { url, outbox_id, from_offset, run: has_marks.then_some(run) }];
        let gap = Gap::passed(0, resent);
        let (repeats, outbox) = (Repeats::of(&gap), source("x"));
        let read = self.records.iter().enumerate().filter(|(index, (row, of_run))| {
            let run = of_run.then_some(RUN);
            !repeats.covers(&Appended { offset: offset(*index), source: Some(&outbox), sequence: Some(*row), run })
        });
        first_appearances(read.map(|(_, (row, _))| *row))
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
        prop_assert_eq!(unsettled(log.stored(true), settled), expected.clone());
        prop_assert_eq!(unsettled(log.stored(false), settled), expected);
    }

    #[test]
    fn order_is_kept_whatever_a_stale_relay_appends_meanwhile(
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
        prop_assert_eq!(unsettled(log.stored(true), settled), expected);
    }
}

/// What the marks are for.
#[test]
fn without_marks_a_stray_among_the_run_is_out_of_order() {
    let log = Log::new(0, 4, vec![], &[(4, 2)]);
    assert_eq!(log.stored(false), [1, 2, 4, 3]);
    assert_eq!(log.stored(true), [1, 2, 3, 4]);
}
