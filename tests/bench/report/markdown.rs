//! The report for people.

use std::fmt::Write as _;

use super::{Report, cells, number};
use crate::figure::{Outcome, median};

pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "# What was measured\n")?;
    writeln!(
        out,
        "Repeat it with `{}`. Every figure is the median of its runs, with their range. Beside \
         some stands what the machine, a server or a bare handler does without Wiber, measured in the same run. Load generator, servers and Wiber share the processors. Goals were set on another machine of two cores: where what it did without Wiber is known, \
         the goal is judged as a part of that too, which is what carries over.\n",
        report.command
    )?;
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(out, "{}.", versions.join(", "))?;
    for (name, title, outcome) in &report.scenarios {
        writeln!(out, "\n## {name}: {title}\n")?;
        scenario(out, outcome)?;
    }
    Ok(())
}

fn scenario(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if !outcome.figures.is_empty() {
        writeln!(out, "| what | median | range | goal | part of what is possible without Wiber |")?;
        writeln!(out, "|---|--:|--:|---|---|")?;
        for figure in &outcome.figures {
            writeln!(out, "| {} |", cells(figure).join(" | "))?;
        }
    }
    if !outcome.idle.is_empty() {
        let least = outcome.idle.iter().copied().fold(1.0, f64::min);
        let usual = median(&outcome.idle);
        writeln!(out, "\nIdle before the runs: {} % (least {} %).", number(usual * 100.0), number(least * 100.0))?;
    }
    for note in &outcome.notes {
        writeln!(out, "\n{note}.")?;
    }
    for plot in &outcome.plots {
        writeln!(out, "\n![{}]({}.svg)", plot.title, plot.name)?;
    }
    Ok(())
}
