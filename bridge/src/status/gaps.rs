//! Open gaps as notes. They lie in MongoDB, so every bridge tells of all of them, whoever reads the partition.

use std::collections::BTreeSet;

use wiber_model::record::PARTITIONS;

use super::Board;
use crate::store::Gap;

/// The key of the note about a partition's gap.
pub(crate) fn note(partition: i32) -> String {
    format!("gap/{partition}")
}

/// Notes all open gaps, and that there are no others.
pub(crate) fn tell(board: &Board, open: &[Gap], outboxes: &[String]) {
    let partitions: BTreeSet<i32> = open.iter().map(|gap| gap.partition).collect();
    for gap in open {
        board.set_note(note(gap.partition), describe(gap, outboxes));
    }
    for partition in (0..PARTITIONS).filter(|partition| !partitions.contains(partition)) {
        board.clear_note(&note(partition));
    }
}

/// What a note says about an open gap.
pub(crate) fn describe(gap: &Gap, outboxes: &[String]) -> String {
    let resent = |url: &&str| gap.resent.iter().any(|r| r.url == **url);
    let missing: Vec<&str> = outboxes.iter().map(String::as_str).filter(|url| !resent(url)).collect();
    let state = if missing.is_empty() {
        "reading on over what was sent again".to_owned()
    } else {
        format!("waiting for {} to send again{}", missing.join(", "), strangers(gap, outboxes))
    };
    let known = if gap.records > 0 { format!(", {} records missing", gap.records) } else { String::new() };
    let (topic, partition, reason) = (&gap.topic, gap.partition, gap.reason.code());
    format!("log gap in {topic} partition {partition} ({reason}{known}): {state}")
}

/// Outboxes that have sent again, but are none of ours by their addresses. Addresses are compared as they are set: which
/// of them lead to one outbox is not for this program to guess.
fn strangers(gap: &Gap, outboxes: &[String]) -> String {
    let others = gap.resent.iter().filter(|r| !outboxes.contains(&r.url));
    let others: Vec<String> = others.map(|r| format!("{} (outbox {})", r.url, r.outbox_id)).collect();
    if others.is_empty() {
        return String::new();
    }
    let others = others.join(", ");
    format!(
        "; {others} did so, but is not in WIBER_OUTBOX_URLS of this process: where it is the same outbox, write its URL \
         alike on every bridge"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Resent;

    #[test]
    fn a_note_names_the_outboxes_that_are_waited_for_and_those_that_came_under_other_names() {
        let resent = |url: &str| Resent { url: url.into(), outbox_id: "x".into(), from_offset: 0, run: None };
        let mut gap = Gap::passed(3, vec![resent("http://a/")]);
        let outboxes = ["http://a/".to_owned(), "http://127.0.0.1:8000/".to_owned()];
        let state = |gap: &Gap| describe(gap, &outboxes).split_once(": ").unwrap().1.to_owned();
        assert_eq!(state(&gap), "waiting for http://127.0.0.1:8000/ to send again");
        gap.resent.push(resent("http://localhost:8000/"));
        assert_eq!(
            state(&gap),
            "waiting for http://127.0.0.1:8000/ to send again; http://localhost:8000/ (outbox x) did so, but is not in \
             WIBER_OUTBOX_URLS of this process: where it is the same outbox, write its URL alike on every bridge"
        );
        gap.resent.push(resent("http://127.0.0.1:8000/"));
        assert_eq!(state(&gap), "reading on over what was sent again");
    }

    #[test]
    fn every_open_gap_is_told_and_no_other() {
        let board = Board::new();
        tell(&board, &[Gap::passed(3, Vec::new()), Gap::passed(10, Vec::new())], &[]);
        assert_eq!(board.notes().len(), 2);
        tell(&board, &[Gap::passed(10, Vec::new())], &[]);
        let notes = board.notes();
        assert!(notes.len() == 1 && notes[0].contains("partition 10"), "{notes:?}");
        tell(&board, &[], &[]);
        assert!(board.notes().is_empty());
    }
}
