//! What is wrong, message by message.

use serde::Serialize;

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Accepted, and not everywhere where it must be.
    Missing,
    /// Stored, and never published.
    Extra,
    /// Not the same everywhere.
    Altered,
    /// Not at its place in its conversation.
    Misordered,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Missing, Self::Extra, Self::Altered, Self::Misordered];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Altered => "altered",
            Self::Misordered => "misordered",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// The message, or what else stands for it where it has no id.
    pub(super) id: String,
    pub(super) problem: String,
}

/// The first differences of each kind, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Findings {
    show: usize,
    shown: [Vec<Finding>; 4],
    counts: [u64; 4],
}

impl Findings {
    /// Keeps at most `show` of each kind.
    pub(super) fn new(show: usize) -> Self {
        Self { show, ..Self::default() }
    }

    pub(super) fn add(&mut self, kind: Kind, id: &str, problem: impl Into<String>) {
        let index = kind as usize;
        self.counts[index] += 1;
        if self.shown[index].len() < self.show {
            self.shown[index].push(Finding { kind, id: id.to_owned(), problem: problem.into() });
        }
    }

    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Finding> {
        self.shown.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_whole_and_named_in_part() {
        let mut findings = Findings::new(1);
        for id in ["a", "b"] {
            findings.add(Kind::Missing, id, "gone");
        }
        findings.add(Kind::Altered, "c", "changed");
        let named: Vec<&str> = findings.shown().map(|finding| finding.id.as_str()).collect();
        assert_eq!((named, findings.count(Kind::Missing), findings.total()), (vec!["a", "c"], 2, 3));
    }
}
