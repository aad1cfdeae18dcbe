//! What came of a verification, for people and for programs.

use serde::Serialize;
use serde_json::{Value, json};

use super::Context;
use super::findings::{Finding, Findings, Kind};
use super::outboxes::Outboxes;
use super::published::Published;
use super::scope;
use crate::table::{lines, number};

/// How many messages stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Known to an outbox, the topic or MongoDB, each once.
    pub(super) accepted: u64,
    /// In the topic, each once.
    pub(super) published: u64,
    /// In MongoDB.
    pub(super) stored: u64,
    /// Dead letters that wait, of records in the topic.
    pub(super) dead_lettered: u64,
    /// Accepted, not stored, and not late yet.
    pub(super) in_flight: u64,
}

/// What came of it.
pub(super) struct Report {
    scope: scope::Shown,
    scope_text: String,
    topic: String,
    records: u64,
    repeats: u64,
    outboxes: Vec<(String, Value)>,
    counts: Counts,
    findings: Findings,
}

impl Report {
    pub(super) fn new(
        context: &Context<'_>,
        outboxes: &Outboxes,
        published: &Published,
        counts: Counts,
        findings: Findings,
    ) -> Self {
        let outbox = |shown: super::outboxes::Shown<'_>| {
            let count = |n: i64| number(u64::try_from(n).unwrap_or(0));
            let text = format!("{}: {} accepted, {} waiting", shown.url, count(shown.accepted), count(shown.waiting));
            (text, json!(shown))
        };
        Self {
            scope: context.scope.shown(),
            scope_text: context.scope.text(),
            topic: context.topic.name().to_owned(),
            records: published.records,
            repeats: published.repeats,
            outboxes: outboxes.shown().map(outbox).collect(),
            counts,
            findings,
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.findings.total() == 0
    }

    pub(super) fn as_json(&self) -> Value {
        let mut counts = json!(self.counts);
        for kind in Kind::ALL {
            counts[kind.word()] = json!(self.findings.count(kind));
        }
        json!({
            "clean": self.is_clean(),
            "scope": self.scope,
            "topic": { "name": self.topic, "records": self.records, "repeats": self.repeats },
            "outboxes": self.outboxes.iter().map(|(_, shown)| shown).collect::<Vec<_>>(),
            "counts": counts,
            "findings": self.findings.shown().collect::<Vec<&Finding>>(),
        })
    }

    pub(super) fn print(&self) {
        let line = |name: &str, value: String| vec![name.to_owned(), value];
        let records =
            format!("{}: {} records, {} of them repeats", self.topic, number(self.records), number(self.repeats));
        let mut head = vec![line("verified", self.scope_text.clone()), line("topic", records)];
        head.extend(self.outboxes.iter().map(|(text, _)| line("outbox", text.clone())));
        lines(&head).iter().for_each(|line| println!("{line}"));
        println!();
        let Counts { accepted, published, stored, dead_lettered, in_flight } = self.counts;
        let counted = [
            ("accepted", accepted),
            ("published", published),
            ("stored", stored),
            ("dead-lettered", dead_lettered),
            ("in flight", in_flight),
        ];
        let wrong = Kind::ALL.map(|kind| (kind.word(), self.findings.count(kind)));
        for (name, count) in counted.into_iter().chain(wrong) {
            println!("{name:<13}  {:>13}", number(count));
        }
        println!();
        let shown: Vec<Vec<String>> = self
            .findings
            .shown()
            .map(|finding| vec![finding.kind.word().to_owned(), finding.id.clone(), finding.problem.clone()])
            .collect();
        lines(&shown).iter().for_each(|line| println!("{line}"));
        let more = self.findings.total().saturating_sub(u64::try_from(shown.len()).unwrap_or(0));
        if more > 0 {
            println!("… and {} more (--show)", number(more));
        }
        println!("{}", if self.is_clean() { "no differences" } else { "there are differences" });
    }
}
