//! What to do with a partition, from what Kafka and MongoDB say about it. Pure.
//!
//! A gap is never skipped in silence: its partition waits until every outbox has sent again what is not settled, then
//! reads on at the gap's `resume_at`, passing over what those outboxes repeat later in order.

use std::collections::HashMap;

use wiber_model::record;

use crate::kafka::Watermarks;
use crate::mutant::Mutant;
use crate::store::{Gap, GapReason};

/// Why a partition's task could not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The position is outside of the log, or the log was cut below it.
    OffsetGone,
    /// Records are there, but cannot be read.
    Unreadable,
}

/// A partition as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Nothing is read. `reached` is how far this owner had come, where it has read before.
    Idle { reached: Option<i64>, trouble: Option<Trouble> },
    /// A task reads: the next offset it expects, the offset that may be committed, and whether records have been waiting
    /// too long without a step forward.
    Reading { position: i64, committable: i64, stalled: bool },
}

/// A partition as Kafka and MongoDB see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The open gap, if there is one.
    pub(super) gap: Option<&'a Gap>,
    /// The group's committed offset.
    pub(super) committed: Option<i64>,
    /// The log.
    pub(super) log: Watermarks,
    /// The outboxes that must send again before a gap is passed.
    pub(super) outboxes: &'a [String],
}

/// What to do with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// Read from here; with a gap, passing over what is repeated.
    Start { at: i64, gap: Option<Gap> },
    /// Record a gap, and stop until it can be passed.
    Open { reason: GapReason, resume_at: i64, records: i64 },
    /// Stop, or stay stopped, until every outbox has sent again.
    Wait(Gap),
    /// Every outbox has sent again: commit `at`, record that, and read from there.
    Resume { at: i64, gap: Gap },
    /// All that was repeated is read.
    Close(Gap),
}

/// Decides about one partition.
pub(super) fn decide(view: View, facts: &Facts<'_>) -> Verdict {
    match (view, facts.gap) {
        // By what is committed too: whoever takes over from there must still know what is repeated.
        (View::Reading { committable, .. }, Some(gap))
            if gap.resumed && committable.min(facts.committed.unwrap_or(-1)) >= passed_at(gap) =>
        {
            Verdict::Close(gap.clone())
        }
        (View::Idle { trouble: None, reached }, Some(gap)) if gap.resumed => {
            let at = reached.or(facts.committed).unwrap_or(gap.resume_at).max(gap.resume_at);
            out_of_log(at, facts.log).unwrap_or_else(|| Verdict::Start { at, gap: Some(gap.clone()) })
        }
        // A gap that was passed once and has new trouble is another gap.
        (_, Some(gap)) if !gap.resumed => waiting(view, gap, facts),
        (View::Idle { reached, trouble }, _) => idle(reached, trouble, facts),
        (View::Reading { position, stalled, .. }, _) => reading(position, stalled, facts),
    }
}

/// The offset at which all that was sent again is behind.
fn passed_at(gap: &Gap) -> i64 {
    gap.resent.iter().map(|r| r.from_offset).fold(gap.resume_at, i64::max)
}

fn waiting(view: View, gap: &Gap, facts: &Facts<'_>) -> Verdict {
    let resent = |url: &String| gap.resent.iter().any(|r| r.url == *url);
    if matches!(view, View::Idle { .. }) && facts.outboxes.iter().all(resent) {
        // The log may have lost more of its start in the meantime: what was sent again lies above.
        let wanted = if Mutant::StartFromLatest.is_on() { facts.log.high } else { gap.resume_at };
        let at = wanted.clamp(facts.log.low, facts.log.high.max(facts.log.low));
        return Verdict::Resume { at, gap: gap.clone() };
    }
    Verdict::Wait(gap.clone())
}

fn idle(reached: Option<i64>, trouble: Option<Trouble>, facts: &Facts<'_>) -> Verdict {
    // Without a committed offset nothing was read yet, so a log that no longer begins at 0 has lost records unread.
    let nothing_read = if Mutant::StartFromLatest.is_on() { facts.log.high } else { 0 };
    let at = reached.or(facts.committed).unwrap_or(nothing_read);
    match trouble {
        Some(Trouble::Unreadable) => stalled(at, facts.log),
        // In range and yet refused: the log was cut and has grown again, so where it differs is not known.
        Some(Trouble::OffsetGone) => out_of_log(at, facts.log).unwrap_or(Verdict::Open {
            reason: GapReason::Recreated,
            resume_at: facts.log.low,
            records: 0,
        }),
        None => out_of_log(at, facts.log).unwrap_or(Verdict::Start { at, gap: None }),
    }
}

fn reading(position: i64, is_stalled: bool, facts: &Facts<'_>) -> Verdict {
    match out_of_log(position, facts.log) {
        Some(gap) => gap,
        None if is_stalled => stalled(position, facts.log),
        None => Verdict::Keep,
    }
}

fn out_of_log(at: i64, log: Watermarks) -> Option<Verdict> {
    if at < log.low {
        return Some(Verdict::Open { reason: GapReason::LogStart, resume_at: log.low, records: log.low - at });
    }
    (at > log.high).then_some(Verdict::Open { reason: GapReason::Recreated, resume_at: log.low, records: 0 })
}

fn stalled(at: i64, log: Watermarks) -> Verdict {
    Verdict::Open { reason: GapReason::Stalled, resume_at: log.high, records: (log.high - at).max(0) }
}

/// Which records are repeated above, by their outbox.
///
/// Limit: what a stale relay appends above `from_offset` (its producer hung through all of the sending again) is taken as
/// if it were part of the run, and stands before rows that the gap lost and the run brings only behind it. `gap_model`
/// shows that no other choice of the offset mends that; telling the run's records from others, and reading them first,
/// would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    from_offset: HashMap<String, i64>,
}

impl Repeats {
    /// What the outboxes of this gap have sent again.
    pub(super) fn of(gap: &Gap) -> Self {
        let sources = gap.resent.iter().map(|r| (record::source(&r.outbox_id), r.from_offset));
        Self { from_offset: sources.collect() }
    }

    /// Whether a record is passed over: its outbox repeats it later, if it is not stored already, and in order with what
    /// was lost.
    pub(super) fn covers(&self, source: Option<&str>, offset: i64) -> bool {
        source.and_then(|s| self.from_offset.get(s)).is_some_and(|from| offset < *from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Resent;

    const LOG: Watermarks = Watermarks { low: 10, high: 50 };
    const FRESH: View = View::Idle { reached: None, trouble: None };

    fn gap(resumed: bool, resent: &[(&str, i64)]) -> Gap {
        let resent = resent.iter().map(|(url, from)| Resent {
            url: (*url).to_owned(),
            outbox_id: format!("id-of-{url}"),
            from_offset: *from,
        });
        Gap {
            topic: "t".into(),
            partition: 0,
            epoch: 1,
            reason: GapReason::LogStart,
            topic_id: "x".into(),
            resume_at: 20,
            records: 5,
            resumed,
            resent: resent.collect(),
        }
    }

    fn check(view: View, gap: Option<&Gap>, committed: Option<i64>, expected: Verdict) {
        let outboxes = ["a".to_owned(), "b".to_owned()];
        let facts = Facts { gap, committed, log: LOG, outboxes: &outboxes };
        assert_eq!(decide(view, &facts), expected);
    }

    fn reading(position: i64, stalled: bool) -> View {
        View::Reading { position, committable: position, stalled }
    }

    fn idle(reached: i64, trouble: Trouble) -> View {
        View::Idle { reached: Some(reached), trouble: Some(trouble) }
    }

    fn open(reason: GapReason, resume_at: i64, records: i64) -> Verdict {
        Verdict::Open { reason, resume_at, records }
    }

    #[test]
    fn reading_starts_at_the_committed_offset_or_the_beginning() {
        let whole = Facts { gap: None, committed: None, log: Watermarks { low: 0, high: 50 }, outboxes: &[] };
        assert_eq!(decide(FRESH, &whole), Verdict::Start { at: 0, gap: None });
        check(FRESH, None, Some(30), Verdict::Start { at: 30, gap: None });
        check(FRESH, None, Some(50), Verdict::Start { at: 50, gap: None });
        let reached = View::Idle { reached: Some(40), trouble: None };
        check(reached, None, Some(30), Verdict::Start { at: 40, gap: None });
    }

    #[test]
    fn offsets_outside_of_the_log_open_a_gap() {
        check(FRESH, None, Some(9), open(GapReason::LogStart, 10, 1));
        check(FRESH, None, None, open(GapReason::LogStart, 10, 10));
        check(FRESH, None, Some(51), open(GapReason::Recreated, 10, 0));
        check(reading(9, false), None, Some(9), open(GapReason::LogStart, 10, 1));
        check(reading(51, false), None, Some(9), open(GapReason::Recreated, 10, 0));
        check(idle(5, Trouble::OffsetGone), None, None, open(GapReason::LogStart, 10, 5));
        check(idle(30, Trouble::OffsetGone), None, None, open(GapReason::Recreated, 10, 0));
    }

    #[test]
    fn standing_still_before_records_opens_a_gap_to_the_end() {
        check(reading(30, true), None, Some(30), open(GapReason::Stalled, 50, 20));
        check(idle(30, Trouble::Unreadable), None, None, open(GapReason::Stalled, 50, 20));
        check(reading(30, false), None, Some(30), Verdict::Keep);
    }

    #[test]
    fn a_gap_is_passed_once_every_outbox_has_sent_again() {
        let none = gap(false, &[]);
        let one = gap(false, &[("a", 40)]);
        let both = gap(false, &[("a", 40), ("b", 45)]);
        check(FRESH, Some(&none), Some(15), Verdict::Wait(none.clone()));
        check(FRESH, Some(&one), Some(15), Verdict::Wait(one.clone()));
        check(FRESH, Some(&both), Some(15), Verdict::Resume { at: 20, gap: both.clone() });
        // Whoever still reads must stop first.
        check(reading(30, false), Some(&both), Some(15), Verdict::Wait(both.clone()));
    }

    #[test]
    fn a_passed_gap_closes_behind_the_last_repeat() {
        let both = gap(true, &[("a", 40), ("b", 45)]);
        check(reading(44, false), Some(&both), None, Verdict::Keep);
        check(reading(45, false), Some(&both), None, Verdict::Keep);
        check(reading(45, false), Some(&both), Some(44), Verdict::Keep);
        check(reading(45, false), Some(&both), Some(45), Verdict::Close(both.clone()));
        check(FRESH, Some(&both), Some(30), Verdict::Start { at: 30, gap: Some(both.clone()) });
        check(FRESH, Some(&both), Some(15), Verdict::Start { at: 20, gap: Some(both.clone()) });
        check(idle(30, Trouble::Unreadable), Some(&both), None, open(GapReason::Stalled, 50, 20));
    }

    #[test]
    fn repeats_are_passed_over_by_outbox() {
        let repeats = Repeats::of(&gap(true, &[("a", 40)]));
        assert!(repeats.covers(Some("/wiber/outbox/id-of-a"), 39));
        assert!(!repeats.covers(Some("/wiber/outbox/id-of-a"), 40));
        assert!(!repeats.covers(Some("/wiber/outbox/id-of-b"), 39));
        assert!(!repeats.covers(None, 39));
    }
}
