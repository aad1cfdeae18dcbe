//! The records of dead letters, found in the dead-letter topic by the origin that their headers name.

use std::collections::{BTreeSet, HashMap};

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use wiber_bridge::store::{Letter, Place};
use wiber_model::record::{VALUE_LEFT_OUT, header};
use wiber_servers::progress::Progress;

use crate::topic::{self, Range, Topic};

/// How far the clocks of the bridge and of Kafka's brokers may be apart before more must be read, milliseconds.
const CLOCKS_APART_MS: i64 = 3_600_000;

/// A record as it first came, without what dead-lettering added.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// In their order, `wiber-*` left out.
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Kafka did not take the value a second time: it lies at the origin only.
    pub(super) value_left_out: bool,
}

impl Record {
    fn of(raw: &BorrowedMessage<'_>) -> Self {
        let all = raw.headers().into_iter().flat_map(|headers| headers.iter());
        let own = all.filter(|found| !found.key.starts_with(header::OWN_PREFIX));
        let detail = topic::header(raw, header::DETAIL).unwrap_or_default();
        Self {
            key: raw.key().map(<[u8]>::to_vec),
            value: raw.payload().map(<[u8]>::to_vec),
            headers: own.map(|found| (found.key.to_owned(), found.value.map(<[u8]>::to_vec))).collect(),
            value_left_out: raw.payload().is_none() && detail.ends_with(VALUE_LEFT_OUT),
        }
    }
}

/// Reads the partitions in which the records of these letters lie, and hands each to `found`, in the topic's order, once.
pub(super) fn read(
    dead_letters: &Topic,
    letters: &[Letter],
    mut found: impl FnMut(&Letter, Record),
) -> anyhow::Result<()> {
    // A topic that was made anew has each place again, so several letters may have one.
    let mut wanted: HashMap<Place, Vec<&Letter>> = HashMap::new();
    letters.iter().for_each(|letter| wanted.entry(letter.origin.clone()).or_default().push(letter));
    // A dead letter keeps its partition.
    let partitions: BTreeSet<i32> = letters.iter().map(|letter| letter.origin.partition).collect();
    let ends = dead_letters.ends()?;
    let all: Vec<Range> = ends.into_iter().filter(|range| partitions.contains(&range.partition)).collect();
    let earliest = letters.iter().map(|letter| letter.at).min().unwrap_or(0);
    let starts = dead_letters.since(&all, earliest.saturating_sub(CLOCKS_APART_MS))?;
    let likely: Vec<Range> = all.iter().zip(&starts).map(|(range, from)| Range { from: *from, ..*range }).collect();
    let rest: Vec<Range> = all.iter().zip(&starts).map(|(range, to)| Range { to: *to, ..*range }).collect();
    let progress = Progress::new();
    let task = progress.task(format!("Reading {}", dead_letters.name()));
    for ranges in [likely, rest] {
        if !wanted.is_empty() {
            dead_letters.read(&ranges, Some(&task), |raw| {
                // A crash between the record and its document makes the record twice: one of them is enough.
                let Some(origin) = origin(raw) else { return };
                let Some(here) = wanted.get_mut(&origin) else { return };
                if let Some(index) = here.iter().position(|letter| is_of(raw, letter)) {
                    found(here.swap_remove(index), Record::of(raw));
                }
                if here.is_empty() {
                    wanted.remove(&origin);
                }
            })?;
        }
    }
    Ok(())
}

fn origin(raw: &BorrowedMessage<'_>) -> Option<Place> {
    Some(Place {
        topic: topic::header(raw, header::ORIGIN_TOPIC)?.to_owned(),
        partition: topic::header(raw, header::ORIGIN_PARTITION)?.parse().ok()?,
        offset: topic::header(raw, header::ORIGIN_OFFSET)?.parse().ok()?,
    })
}

/// Whether a record with this letter's origin is its record. One that names no time is older than letters that are told
/// apart by it.
fn is_of(raw: &BorrowedMessage<'_>, letter: &Letter) -> bool {
    let time = topic::header(raw, header::ORIGIN_TIME).and_then(|time| time.parse::<i64>().ok());
    match (time, letter.published_at) {
        (Some(time), Some(published)) => published == time,
        (None, _) => !letter.id.contains('@'),
        (Some(_), None) => true,
    }
}

/// Bytes as text if they are text, else as hexadecimal digits.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => text.to_owned(),
        _ => format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_not_text_is_shown_in_hex() {
        assert_eq!(super::text("é\n".as_bytes()), "é\n");
        assert_eq!(super::text(&[0xff, 0]), "0xff00");
        assert_eq!(super::text(b"\x1b[2J"), "0x1b5b324a");
    }
}
