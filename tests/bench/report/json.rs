//! The whole report for programs.

use serde_json::{Value, json};

use super::Report;
use crate::figure::{Figure, Goal, Outcome, Plot};

pub(super) fn of(report: &Report) -> Value {
    json!({
        "command": report.command,
        "versions": report.versions,
        "scenarios": report.scenarios.iter().map(|(name, title, outcome)| scenario(name, title, outcome)).collect::<Vec<_>>(),
    })
}

fn scenario(name: &str, title: &str, outcome: &Outcome) -> Value {
    json!({
        "name": name,
        "title": title,
        "idleBefore": outcome.idle,
        "figures": outcome.figures.iter().map(figure).collect::<Vec<_>>(),
        "plots": outcome.plots.iter().map(plot).collect::<Vec<_>>(),
        "notes": outcome.notes,
    })
}

fn figure(figure: &Figure) -> Value {
    let (least, most) = match figure.goal {
        Some(Goal::AtLeast(least)) => (Some(least), None),
        Some(Goal::AtMost(most)) => (None, Some(most)),
        None => (None, None),
    };
    json!({
        "what": figure.what,
        "unit": figure.unit,
        "median": figure.median(),
        "runs": figure.runs,
        "goalAtLeast": least,
        "goalAtMost": most,
        "goalMet": figure.goal.map(|goal| goal.is_met(figure.median())),
        "limit": figure.limit.as_ref().map(|(what, value)| json!({ "what": what, "value": value })),
        "ratio": figure.ratio(),
        "goalRatio": figure.goal_ratio().map(Goal::bound),
        "goalRatioMet": figure.goal_ratio().zip(figure.ratio()).map(|(goal, ratio)| goal.is_met(ratio)),
    })
}

fn plot(plot: &Plot) -> Value {
    json!({
        "name": plot.name,
        "x": plot.x,
        "y": plot.y,
        "series": plot.series.iter().map(|(name, points)| json!({ "name": name, "points": points })).collect::<Vec<_>>(),
    })
}
