//! What to do with a partition, from what Kafka and MongoDB say about it. Pure.
//!
//! A gap is never skipped in silence: its partition waits until every outbox has sent again what is not settled, then
//! reads on at the gap's `resume_at`, passing over what those outboxes repeat later in order.

use std::collections::HashMap;

use wiber_model::record;

use super::record::Record;
use crate::kafka::Watermarks;
use crate::mutant::Mutant;
use crate::store::{Gap, GapReason, SentRun, Trace};

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
    gap.resent.iter().map(|r| r.run.map_or(r.from_offset, |run| run.end_offset)).fold(gap.resume_at, i64::max)
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

/// A record, as far as it tells who appended it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appended<'a> {
    pub(super) offset: i64,
    /// The outbox, as `ce_source`, and the row.
    pub(super) source: Option<&'a str>,
    pub(super) sequence: Option<i64>,
    /// The number of the run that sent it again.
    pub(super) run: Option<i64>,
}

impl<'a> Appended<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let Trace { source, sequence, .. } = &record.trace;
        Self { offset: record.offset, source: source.as_deref(), sequence: *sequence, run: record.run }
    }
}

/// Which records are passed over behind a gap, since their outbox repeats them in the run that sent all unsettled rows again.
///
/// What an outbox sent below the run is repeated in it. Among the run's records others may stand of rows that it has sent
/// too: of a relay that stood still or was cut off meanwhile. Read there, such a row would stand before rows that the gap
/// lost and the run brings only behind it (see `gap_model`). It is known by its row, which is not above the run's last
/// one, and by having no mark of a run, or an older one's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    by_source: HashMap<String, (i64, Option<SentRun>)>,
}

impl Repeats {
    /// What the outboxes of this gap have sent again.
    pub(super) fn of(gap: &Gap) -> Self {
        let sources = gap.resent.iter().map(|r| (record::source(&r.outbox_id), (r.from_offset, r.run)));
        Self { by_source: sources.collect() }
    }

    /// Whether a record is passed over: the run has its row later, if that is not stored already, and in order with what
    /// was lost.
    pub(super) fn covers(&self, record: &Appended<'_>) -> bool {
        let Some((from_offset, run)) = record.source.and_then(|source| self.by_source.get(source)) else {
            return false;
        };
        let is_stray = |run: &SentRun| {
            record.offset < run.end_offset
                && record.sequence.is_some_and(|position| position <= run.last_position)
                && record.run.is_none_or(|number| number < run.number)
        };
        record.offset < *from_offset || run.as_ref().is_some_and(is_stray)
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
            run: None,
        });
        Gap { resume_at: 20, records: 5, resumed, ..Gap::passed(0, resent.collect()) }
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

    fn appended<'a>(source: Option<&'a str>, offset: i64, sequence: i64, run: Option<i64>) -> Appended<'a> {
        Appended { offset, source, sequence: Some(sequence), run }
    }

    #[test]
    fn repeats_are_passed_over_by_outbox() {
        let repeats = Repeats::of(&gap(true, &[("a", 40)]));
        let covers = |source, offset| repeats.covers(&appended(source, offset, 1, None));
        assert!(covers(Some("/wiber/outbox/id-of-a"), 39));
        assert!(!covers(Some("/wiber/outbox/id-of-a"), 40));
        assert!(!covers(Some("/wiber/outbox/id-of-b"), 39));
        assert!(!covers(None, 39));
    }

    #[test]
    fn strays_among_a_run_are_passed_over() {
        let mut gap = gap(true, &[("a", 40)]);
        gap.resent[0].run = Some(SentRun { number: 1_000, last_position: 7, end_offset: 44 });
        assert_eq!(passed_at(&gap), 44);
        let repeats = Repeats::of(&gap);
        let covers =
            |offset, sequence, run| repeats.covers(&appended(Some("/wiber/outbox/id-of-a"), offset, sequence, run));
        // The run's own, a later run's, rows that came later, and what stands behind the run.
        assert!(!covers(41, 7, Some(1_000)) && !covers(41, 7, Some(1_001)) && !covers(41, 8, None));
        assert!(!covers(44, 7, None));
        assert!(covers(41, 7, None) && covers(43, 7, Some(999)) && covers(39, 8, Some(1_000)));
    }
}
