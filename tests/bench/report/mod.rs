//! What a run measured: as a table on the terminal, as JSON, as Markdown, and as plots in SVG.

pub(crate) mod compare;
mod json;
mod markdown;
mod svg;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use wiber_tests::versions;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome};
use crate::scenarios::Scenario;

/// A whole run so far.
pub(crate) struct Report {
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) command: String,
    pub(crate) scenarios: Vec<(&'static str, &'static str, Outcome)>,
}

impl Report {
    pub(crate) fn begin(args: &Args) -> Self {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("cargo xtask bench {}", given.join(" ")).trim_end().to_owned();
        let mut versions = versions::all();
        versions.insert("runs", args.runs.to_string());
        Self { versions, command, scenarios: Vec::new() }
    }

    pub(crate) fn add(&mut self, scenario: &Scenario, outcome: Outcome) {
        self.scenarios.push((scenario.name, scenario.title, outcome));
    }

    /// Writes all forms into `folder`.
    ///
    /// # Errors
    /// If it cannot be written to.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut files = vec![
            ("report.json".to_owned(), serde_json::to_string_pretty(&json::of(self))?),
            ("report.md".to_owned(), markdown::of(self)),
        ];
        let plots = self.scenarios.iter().flat_map(|(_, _, outcome)| &outcome.plots);
        files.extend(plots.map(|plot| (format!("{}.svg", plot.name), svg::of(plot))));
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The figures of a scenario as lines for a terminal.
pub(crate) fn table(outcome: &Outcome) -> String {
    let rows: Vec<[String; 5]> = outcome.figures.iter().map(cells).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let notes = outcome.notes.iter().map(|note| format!("  {note}"));
    rows.iter().map(line).chain(notes).collect::<Vec<_>>().join("\n")
}

/// What, value with unit, range, goal, limit with ratio.
fn cells(figure: &Figure) -> [String; 5] {
    let (least, most) = figure.range();
    let value = format!("{} {}", number(figure.median()), figure.unit);
    let range = if figure.runs.len() > 1 { format!("{}–{}", number(least), number(most)) } else { String::new() };
    let goal = figure.goal.map_or(String::new(), |goal| verdict(goal, figure.median()));
    let limit = figure.limit.as_ref().zip(figure.ratio()).map_or(String::new(), |((what, limit), ratio)| {
        let goal = figure.goal_ratio().map_or(String::new(), |goal| format!("; goal {}", verdict(goal, ratio)));
        format!("{ratio:.2} of {what} ({} {}){goal}", number(*limit), figure.unit)
    });
    [figure.what.clone(), value, range, goal, limit]
}

fn verdict(goal: Goal, value: f64) -> String {
    let word = if goal.is_met(value) { "met" } else { "not met" };
    match goal {
        Goal::AtLeast(least) => format!("≥ {} {word}", number(least)),
        Goal::AtMost(most) => format!("≤ {} {word}", number(most)),
    }
}

/// Three digits that count, and thousands set apart.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 {
        let digits = format!("{:.0}", size);
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return if value < 0.0 { format!("-{grouped}") } else { grouped };
    }
    let decimals = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.123, 4.56, 45.6, 456.7, 1_234.5, 12_345_678.0, -2_000.0].map(number);
        assert_eq!(shown, ["0.12", "4.56", "45.6", "457", "1,234", "12,345,678", "-2,000"]);
    }

    #[test]
    fn a_line_tells_goal_and_ratio() {
        let figure =
            Figure::new("accepted", "/s", vec![9.0, 11.0, 10.0]).goal(Goal::AtLeast(20.0)).limit("wall", &[40.0]);
        let outcome = Outcome { figures: vec![figure], ..Outcome::default() };
        assert_eq!(table(&outcome), "  accepted  10.0 /s  9.00–11.0  ≥ 20.0 not met  0.25 of wall (40.0 /s)");
    }

    #[test]
    fn a_line_tells_the_goal_as_a_part_too() {
        let figure = Figure::new("accepted", "/s", vec![10.0]).goal(Goal::AtLeast(20.0)).limit("wall", &[20.0]);
        let outcome = Outcome { figures: vec![figure.basis(50.0)], ..Outcome::default() };
        let line = "  accepted  10.0 /s    ≥ 20.0 not met  0.50 of wall (20.0 /s); goal ≥ 0.40 met";
        assert_eq!(table(&outcome), line);
    }
}
