//! Documents whose records were not read: looked for where they say that they lay, and judged if they are not there.

use std::collections::HashMap;

use wiber_model::record::Decoded;

use super::Context;
use super::content::{Id, digest};
use super::findings::{Findings, Kind};
use super::outboxes::Outboxes;
use super::published::{Place, Published, decode, meet};
use super::stored::{Stored, Unmatched};
use crate::topic::{self, Range};

/// What came of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Late {
    /// Their records were found after all.
    pub(super) found: u64,
    /// They were published, and their records are gone.
    pub(super) not_in_topic: u64,
}

/// Reads what is left of the topic, and judges the documents whose records are not there. Blocks.
pub(super) fn find(
    context: &Context<'_>,
    published: &Published,
    stored: &mut Stored,
    outboxes: &mut Outboxes,
    findings: &mut Findings,
) -> Result<Late, topic::Error> {
    let mut open: HashMap<Id, Unmatched> = stored.unmatched.drain(..).map(|one| (one.id, one)).collect();
    let ends = context.topic.ends()?;
    let ranges = if context.scope.is_everything() { grown(published, &ends) } else { around(published, &open, &ends) };
    let mut late = Late::default();
    for ranges in ranges {
        context.topic.read(&ranges, None, |raw| {
            meet(raw, outboxes);
            let Decoded::Message(message) = decode(raw) else { return };
            let Some(one) = open.remove(&Id::of(&message.message_id)) else { return };
            late.found += 1;
            if one.digest != digest(&message) {
                let problem = "its content in MongoDB is not that of its record";
                findings.add(Kind::Altered, message.message_id.as_str(), problem);
            }
        })?;
    }
    let mut first_ms = HashMap::new();
    for one in open.into_values() {
        let id = one.id.message_id();
        match judge(context, &one, &ends, &mut first_ms)? {
            Judgement::Gone(problem) => {
                late.not_in_topic += 1;
                findings.add(Kind::Missing, id.as_str(), problem);
            }
            Judgement::Extra(problem) => findings.add(Kind::Extra, id.as_str(), problem),
        }
    }
    Ok(late)
}

/// What the topic got since it was read.
fn grown(published: &Published, ends: &[Range]) -> Vec<Vec<Range>> {
    let grown = |end: &Range| {
        let read = published.ends.iter().find(|read| read.partition == end.partition);
        Range { from: read.map_or(end.from, |read| read.to).clamp(end.from, end.to), ..*end }
    };
    vec![ends.iter().map(grown).collect()]
}

/// What lies before and after what was read, as far as documents point there.
fn around(published: &Published, open: &HashMap<Id, Unmatched>, ends: &[Range]) -> Vec<Vec<Range>> {
    let places: Vec<Place> = open.values().filter_map(|one| one.place).collect();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for end in ends {
        let read = published.read.iter().find(|read| read.partition == end.partition).copied();
        let read = read.unwrap_or(Range { from: end.from, to: end.from, ..*end });
        let here = places.iter().filter(|place| place.partition() == end.partition).map(|place| place.offset());
        let here: Vec<i64> = here.filter(|offset| (end.from..end.to).contains(offset)).collect();
        if let Some(from) = here.iter().copied().filter(|offset| *offset < read.from).min() {
            before.push(Range { from, to: read.from, ..*end });
        }
        if let Some(last) = here.iter().copied().filter(|offset| *offset >= read.to).max() {
            after.push(Range { from: read.to, to: last + 1, ..*end });
        }
    }
    vec![before, after]
}

enum Judgement {
    /// Its record was there once.
    Gone(String),
    /// It never was.
    Extra(String),
}

/// A log has no gaps, so a record is gone only if the log begins above it, ends below it, or was made anew. Where another
/// record lies at its place, and lay there already when it is said to have been published, it never was.
fn judge(
    context: &Context<'_>,
    one: &Unmatched,
    ends: &[Range],
    first_ms: &mut HashMap<i32, Option<i64>>,
) -> Result<Judgement, topic::Error> {
    let Some(place) = one.place else {
        return Ok(Judgement::Extra("stored, and it names no place in the topic where its record lay".to_owned()));
    };
    let at = place.text(context.topic.name());
    let Some(end) = ends.iter().find(|end| end.partition == place.partition()) else {
        return Ok(Judgement::Extra(format!("stored, and there is no {at}")));
    };
    if place.offset() < end.from {
        return Ok(Judgement::Gone(format!(
            "stored, not in the topic: its record lay at {at}; the log begins at {}",
            end.from
        )));
    }
    if place.offset() >= end.to {
        return Ok(Judgement::Gone(format!(
            "stored, not in the topic: its record lay at {at}; the log ends at {}",
            end.to
        )));
    }
    let first = match first_ms.get(&end.partition) {
        Some(first) => *first,
        None => {
            let mut first = None;
            let range = Range { to: end.from + 1, ..*end };
            context.topic.read(&[range], None, |raw| first = Some(topic::appended_ms(raw)))?;
            *first_ms.entry(end.partition).or_insert(first)
        }
    };
    Ok(if first.is_some_and(|first| one.published_ms < first) {
        Judgement::Gone(format!("stored, not in the topic: its record lay at {at}, before the log was begun anew"))
    } else {
        Judgement::Extra(format!("stored, and never published: another record lies at {at}, which it names as its own"))
    })
}
