//! What a run found: as JSON, as Markdown, and as a time line in SVG.

mod json;
mod markdown;
mod svg;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use wiber_tests::{checker, versions};

use crate::injection::Injection;
use crate::sampler::Sample;
use crate::world::Shape;

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Percentiles {
    pub(crate) fn of_micros(histogram: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        Self {
            p50: ms(histogram.value_at_quantile(0.5)),
            p99: ms(histogram.value_at_quantile(0.99)),
            max: ms(histogram.max()),
        }
    }
}

/// The judgement after a phase, over all messages up to then.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) phase: &'static str,
    pub(crate) seconds: f64,
    /// Or why there is none.
    pub(crate) report: Result<checker::Report, String>,
}

/// What one campaign found.
#[derive(Debug)]
pub(crate) struct Campaign {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) seconds: f64,
    pub(crate) injections: Vec<Injection>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) judged: Vec<Judged>,
    pub(crate) accept: Percentiles,
    pub(crate) store: Percentiles,
}

/// Sums over messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Injections of a row, however often it repeated its fault.
    pub(crate) faults: usize,
    pub(crate) broken_rows: usize,
    pub(crate) not_possible: usize,
    pub(crate) acknowledged: usize,
    pub(crate) unknown: usize,
    pub(crate) stored: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) misordered: usize,
    pub(crate) unseen: usize,
    pub(crate) strange: usize,
    pub(crate) unjudged: usize,
}

impl Campaign {
    pub(crate) fn begin(name: &str, shape: Shape) -> Self {
        Self {
            name: name.to_owned(),
            shape,
            seconds: 0.0,
            injections: Vec::new(),
            samples: Vec::new(),
            judged: Vec::new(),
            accept: Percentiles::default(),
            store: Percentiles::default(),
        }
    }

    /// The last judgement is over all messages; what an earlier one found counts too.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            faults: self.injections.iter().filter(|injection| injection.was_possible()).count(),
            broken_rows: self.injections.iter().filter(|injection| injection.is_broken()).count(),
            not_possible: self.injections.iter().filter(|injection| !injection.was_possible()).count(),
            ..Totals::default()
        };
        for judged in &self.judged {
            match &judged.report {
                Ok(report) => {
                    totals.acknowledged = report.acknowledged;
                    totals.unknown = report.unknown;
                    totals.stored = report.stored;
                    totals.lost = totals.lost.max(report.lost.len());
                    totals.doubled = totals.doubled.max(report.doubled.len());
                    totals.misordered = totals.misordered.max(report.misordered.len());
                    totals.unseen = totals.unseen.max(report.unseen.len());
                    totals.strange = totals.strange.max(report.strange.len());
                    totals.unjudged += usize::from(report.undrained > 0);
                }
                Err(_) => totals.unjudged += 1,
            }
        }
        totals
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.totals().is_clean()
    }

    pub(crate) fn summary(&self) -> String {
        format!("{} ({}, {:.0} s): {}", self.name, self.shape.word(), self.seconds, self.totals())
    }
}

impl Totals {
    fn add(self, other: Self) -> Self {
        Self {
            faults: self.faults + other.faults,
            broken_rows: self.broken_rows + other.broken_rows,
            not_possible: self.not_possible + other.not_possible,
            acknowledged: self.acknowledged + other.acknowledged,
            unknown: self.unknown + other.unknown,
            stored: self.stored + other.stored,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            misordered: self.misordered + other.misordered,
            unseen: self.unseen + other.unseen,
            strange: self.strange + other.strange,
            unjudged: self.unjudged + other.unjudged,
        }
    }

    fn is_clean(&self) -> bool {
        let bad =
            [self.broken_rows, self.lost, self.doubled, self.misordered, self.unseen, self.strange, self.unjudged];
        // Where nothing was acknowledged, nothing was shown.
        bad.iter().all(|count| *count == 0) && self.acknowledged > 0 && self.faults > 0
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { faults, broken_rows, acknowledged, unknown, stored, lost, doubled, misordered, unseen, .. } = self;
        write!(
            f,
            "{faults} faults, {broken_rows} expectations broken; acknowledged {acknowledged} unknown {unknown} stored \
             {stored} lost {lost} doubled {doubled} misordered {misordered} unseen {unseen}"
        )?;
        if self.not_possible > 0 {
            write!(f, "; {} times a row was not possible here", self.not_possible)?;
        }
        if self.strange > 0 {
            write!(f, "; {} stored that nobody sent", self.strange)?;
        }
        if self.unjudged > 0 { write!(f, "; {} judgements could not be made", self.unjudged) } else { Ok(()) }
    }
}

/// What a whole run found.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) replay: String,
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) campaigns: Vec<Campaign>,
}

impl Run {
    pub(crate) fn begin(seed: u64, replay: String) -> Self {
        Self { seed, replay, versions: versions::all(), campaigns: Vec::new() }
    }

    pub(crate) fn add(&mut self, campaign: Campaign) {
        self.campaigns.push(campaign);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.campaigns.iter().map(Campaign::totals).fold(Totals::default(), Totals::add)
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.campaigns.iter().all(Campaign::is_clean)
    }

    pub(crate) fn summary(&self) -> String {
        let totals = self.totals();
        let word = match (self.is_clean(), totals.not_possible) {
            (true, 0) => "clean",
            (true, _) => "clean as far as could be tried here",
            (false, _) => "NOT CLEAN",
        };
        format!("{word}: {totals}")
    }

    /// Writes all forms into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut files = vec![
            ("report.json".to_owned(), serde_json::to_string_pretty(&json::of(self))?),
            ("report.md".to_owned(), markdown::of(self)),
        ];
        files.extend(self.campaigns.iter().map(|campaign| (svg_name(campaign), svg::of(campaign))));
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn svg_name(campaign: &Campaign) -> String {
    format!("{}.svg", campaign.name)
}
