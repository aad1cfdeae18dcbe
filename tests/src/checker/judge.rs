//! Log and findings compared: a pure function.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Instant;

use wiber_model::Conversation;

use super::{ReadBack, Seen};
use crate::load::{Entry, Outcome};

/// What is wrong, each as text with the message it concerns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages that got a 200.
    pub acknowledged: usize,
    /// Messages whose outcome stayed open.
    pub unknown: usize,
    /// Messages in MongoDB.
    pub stored: usize,
    /// Acknowledged and not stored, or stored with another text.
    pub lost: Vec<String>,
    /// Stored more than once, or though the API said that it was not taken.
    pub doubled: Vec<String>,
    /// `seq` with a hole, or against the order of sending, or against Kafka's.
    pub misordered: Vec<String>,
    /// Stored and not shown by paging, or shown and not stored.
    pub unseen: Vec<String>,
    /// Stored and in nobody's log; a finding where the log has all that was sent.
    pub strange: Vec<String>,
    /// Rows that were still in the outbox when no more time was left for draining.
    pub undrained: i64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [&self.lost, &self.doubled, &self.misordered, &self.unseen].iter().all(|list| list.is_empty())
            && self.undrained == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {} unknown {} stored {} lost {} doubled {} misordered {} unseen {}",
            self.acknowledged,
            self.unknown,
            self.stored,
            self.lost.len(),
            self.doubled.len(),
            self.misordered.len(),
            self.unseen.len()
        )?;
        if self.undrained > 0 { write!(f, "; {} rows were not drained in time", self.undrained) } else { Ok(()) }
    }
}

/// Judges what was found against what the clients were told.
#[must_use]
pub fn judge(log: &[Entry], back: &ReadBack) -> Report {
    let mut report = Report { stored: back.stored.values().map(Vec::len).sum(), ..Report::default() };
    let mut by_content: HashMap<&str, Vec<&Seen>> = HashMap::new();
    for seen in back.stored.values().flatten() {
        by_content.entry(&seen.content).or_default().push(seen);
    }
    let sent: BTreeSet<&str> = log.iter().map(|entry| entry.content.as_str()).collect();
    let strange = back.stored.values().flatten().filter(|seen| !sent.contains(seen.content.as_str()));
    report.strange = strange.map(|seen| format!("{} of {:?}", seen.id, seen.users)).collect();
    for entry in log {
        let copies = by_content.get(entry.content.as_str()).map(Vec::as_slice).unwrap_or_default();
        outcome(entry, copies, &mut report);
    }
    for (conversation, stored) in &back.stored {
        contiguous(conversation, stored, &mut report);
        same(conversation, back.paged.get(conversation), stored, &mut report);
        log_order(conversation, back.logged.get(conversation), stored, &mut report);
    }
    batches(log, &by_content, &mut report);
    sending_order(log, &back.stored, &mut report);
    report
}

fn outcome(entry: &Entry, copies: &[&Seen], report: &mut Report) {
    let name = |what: &str| format!("{what}: {:?} from {} to {}", entry.outcome, entry.from, entry.to);
    match &entry.outcome {
        Outcome::Ok(id) => {
            report.acknowledged += 1;
            if !copies.iter().any(|copy| copy.id == *id && copy.users.0 == entry.from && copy.users.1 == entry.to) {
                report.lost.push(name("not stored"));
            }
            if copies.len() > 1 {
                report.doubled.push(name(&format!("stored {} times", copies.len())));
            }
        }
        Outcome::Unknown => {
            report.unknown += 1;
            if copies.len() > 1 {
                report.doubled.push(name(&format!("stored {} times", copies.len())));
            }
        }
        Outcome::Fail => {
            if !copies.is_empty() {
                report.doubled.push(name("stored though refused"));
            }
        }
    }
}

/// Of a batch all messages are stored or none, and in its order.
fn batches(log: &[Entry], by_content: &HashMap<&str, Vec<&Seen>>, report: &mut Report) {
    for batch in log.chunk_by(|one, next| one.batch.is_some() && one.batch == next.batch) {
        let [Entry { batch: Some(key), from, to, .. }, ..] = batch else { continue };
        let seqs = batch.iter().filter_map(|entry| Some(by_content.get(entry.content.as_str())?.first()?.seq));
        let seqs: Vec<i64> = seqs.collect();
        let name = |what: &str| format!("batch {key} from {from} to {to}: {what}");
        if !seqs.is_empty() && seqs.len() != batch.len() {
            report.lost.push(name(&format!("{} of {} are stored", seqs.len(), batch.len())));
        }
        if !seqs.is_sorted() {
            report.misordered.push(name(&format!("its messages have the places {seqs:?}")));
        }
    }
}

fn contiguous(conversation: &Conversation, stored: &[Seen], report: &mut Report) {
    for (place, seen) in (1..).zip(stored) {
        if seen.seq != place {
            report.misordered.push(format!("{conversation}: seq {} at place {place}", seen.seq));
            return;
        }
    }
}

fn same(conversation: &Conversation, paged: Option<&Vec<Seen>>, stored: &[Seen], report: &mut Report) {
    let paged = paged.map(Vec::as_slice).unwrap_or_default();
    if paged == stored {
        return;
    }
    let ids = |list: &[Seen]| list.iter().map(|seen| seen.id.clone()).collect::<BTreeSet<_>>();
    let missing: Vec<_> = ids(stored).symmetric_difference(&ids(paged)).cloned().collect();
    report.unseen.push(format!("{conversation}: pages differ from MongoDB in {missing:?}"));
}

/// `seq` is the order of first appearance in the log (design §3.4).
fn log_order(conversation: &Conversation, logged: Option<&Vec<Seen>>, stored: &[Seen], report: &mut Report) {
    let logged = logged.map(Vec::as_slice).unwrap_or_default();
    let in_log: Vec<&str> = logged.iter().map(|seen| seen.id.as_str()).collect();
    let in_store: Vec<&str> = stored.iter().map(|seen| seen.id.as_str()).collect();
    if in_log != in_store {
        let place = in_log.iter().zip(&in_store).take_while(|(one, other)| one == other).count();
        report.misordered.push(format!(
            "{conversation}: Kafka has {} first appearances, MongoDB {} messages; they differ from place {place} on",
            in_log.len(),
            in_store.len()
        ));
    }
}

/// A message sent after another's 200 arrived comes after it.
fn sending_order(log: &[Entry], stored: &BTreeMap<Conversation, Vec<Seen>>, report: &mut Report) {
    let by_content: HashMap<&str, &Entry> = log.iter().map(|entry| (entry.content.as_str(), entry)).collect();
    for (conversation, messages) in stored {
        let mut latest_start: Option<(Instant, i64)> = None;
        for seen in messages {
            let Some(entry) = by_content.get(seen.content.as_str()) else { continue };
            if let Some((start, before)) = latest_start
                && matches!(entry.outcome, Outcome::Ok(_))
                && entry.ended < start
            {
                report
                    .misordered
                    .push(format!("{conversation}: seq {before} was sent after the 200 of seq {}", seen.seq));
            }
            if latest_start.is_none_or(|(start, _)| entry.started > start) {
                latest_start = Some((entry.started, seen.seq));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(n: i64) -> Seen {
        Seen { id: format!("id {n}"), seq: n, users: ("a".into(), "b".into()), content: format!("text {n}") }
    }

    /// Three messages of one conversation, sent one after the other, all well.
    fn sound() -> (Vec<Entry>, ReadBack) {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let entry = |n: u64| Entry {
            from: "a".into(),
            to: "b".into(),
            content: format!("text {n}"),
            batch: None,
            outcome: Outcome::Ok(format!("id {n}")),
            started: at(10 * n),
            ended: at(10 * n + 5),
        };
        let seen: Vec<Seen> = (1..=3).map(seen).collect();
        let all = BTreeMap::from([(Conversation::of("a", "b"), seen)]);
        ((1..=3).map(entry).collect(), ReadBack { paged: all.clone(), stored: all.clone(), logged: all })
    }

    /// Breaks one thing and names what must be reported: lost, doubled, misordered, unseen.
    fn check(breakage: impl FnOnce(&mut Vec<Entry>, &mut Vec<Seen>, &mut ReadBack), expected: [bool; 4]) {
        let (mut log, mut back) = sound();
        let conversation = Conversation::of("a", "b");
        let mut stored = back.stored[&conversation].clone();
        breakage(&mut log, &mut stored, &mut back);
        if stored != back.stored[&conversation] {
            back.paged.insert(conversation.clone(), stored.clone());
            back.logged.insert(conversation.clone(), stored.clone());
            back.stored.insert(conversation, stored);
        }
        let report = judge(&log, &back);
        let found = [&report.lost, &report.doubled, &report.misordered, &report.unseen].map(|list| !list.is_empty());
        assert_eq!(found, expected, "{report:#?}");
    }

    #[test]
    fn a_sound_run_is_clean() {
        check(|_, _, _| {}, [false; 4]);
        check(|log, _, _| log[1].outcome = Outcome::Unknown, [false; 4]);
    }

    #[test]
    fn a_lost_message_is_seen() {
        check(|_, stored, _| drop(stored.pop()), [true, false, false, false]);
        check(|_, stored, _| stored[2].id = "another".into(), [true, false, false, false]);
        check(|_, stored, _| stored[2].users = ("b".into(), "a".into()), [true, false, false, false]);
    }

    #[test]
    fn a_message_stored_twice_is_seen() {
        let again = |stored: &mut Vec<Seen>| stored.push(Seen { seq: 4, id: "id 4".into(), ..stored[2].clone() });
        check(|_, stored, _| again(stored), [false, true, false, false]);
        check(|log, stored, _| (log[2].outcome = Outcome::Unknown, again(stored)).1, [false, true, false, false]);
    }

    #[test]
    fn a_message_stored_though_refused_is_seen() {
        check(|log, _, _| log[0].outcome = Outcome::Fail, [false, true, false, false]);
    }

    #[test]
    fn a_message_that_nobody_sent_is_named() {
        let (mut log, back) = sound();
        assert!(judge(&log, &back).strange.is_empty());
        log.pop();
        assert_eq!(judge(&log, &back).strange.len(), 1);
    }

    #[test]
    fn a_hole_is_seen() {
        check(|_, stored, _| stored[2].seq = 4, [false, false, true, false]);
    }

    #[test]
    fn an_exchange_is_seen() {
        let exchange = |stored: &mut Vec<Seen>| {
            stored.swap(0, 1);
            stored[0].seq = 1;
            stored[1].seq = 2;
        };
        check(|_, stored, _| exchange(stored), [false, false, true, false]);
    }

    #[test]
    fn concurrent_messages_may_stand_either_way() {
        let exchange = |stored: &mut Vec<Seen>| {
            stored.swap(0, 1);
            stored[0].seq = 1;
            stored[1].seq = 2;
        };
        check(|log, stored, _| (log[0].ended = log[1].ended, exchange(stored)).1, [false; 4]);
    }

    /// The last two messages as a batch.
    fn batched(log: &mut [Entry], outcome: &Outcome) {
        for entry in &mut log[1..] {
            entry.batch = Some("key".into());
            entry.outcome = if *outcome == Outcome::Unknown { Outcome::Unknown } else { entry.outcome.clone() };
        }
        log[2].started = log[1].started;
        log[1].ended = log[2].ended;
    }

    #[test]
    fn a_batch_stored_in_part_or_in_another_order_is_seen() {
        let ok = Outcome::Ok(String::new());
        check(|log, _, _| batched(log, &ok), [false; 4]);
        check(|log, stored, _| (batched(log, &Outcome::Unknown), drop(stored.split_off(1))).1, [false; 4]);
        let in_part = |log: &mut Vec<Entry>, stored: &mut Vec<Seen>, _: &mut ReadBack| {
            batched(log, &Outcome::Unknown);
            stored.pop();
        };
        check(in_part, [true, false, false, false]);
        let exchanged = |log: &mut Vec<Entry>, stored: &mut Vec<Seen>, _: &mut ReadBack| {
            batched(log, &ok);
            stored.swap(1, 2);
            stored[1].seq = 2;
            stored[2].seq = 3;
        };
        check(exchanged, [false, false, true, false]);
    }

    #[test]
    fn another_order_than_kafkas_is_seen() {
        let conversation = Conversation::of("a", "b");
        check(|_, _, back| back.logged.get_mut(&conversation).unwrap().swap(0, 1), [false, false, true, false]);
    }

    #[test]
    fn a_message_that_no_page_shows_is_seen() {
        let conversation = Conversation::of("a", "b");
        check(|_, _, back| drop(back.paged.get_mut(&conversation).unwrap().pop()), [false, false, false, true]);
    }
}
