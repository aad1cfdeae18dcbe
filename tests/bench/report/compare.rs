//! What changed since an earlier run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{Report, number};

/// The medians of an earlier report, by scenario and figure.
pub(crate) type Old = BTreeMap<(String, String), f64>;

/// Reads a `report.json`.
///
/// # Errors
/// If it is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<Old> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("--compare: cannot read {shown}"))?;
    let report: Value = serde_json::from_str(&text).with_context(|| format!("--compare: {shown} is not JSON"))?;
    let Some(scenarios) = report["scenarios"].as_array() else {
        bail!("--compare: {shown} is no report of a benchmark")
    };
    let mut old = Old::new();
    for scenario in scenarios {
        let name = scenario["name"].as_str().unwrap_or_default();
        for figure in scenario["figures"].as_array().into_iter().flatten() {
            if let (Some(what), Some(median)) = (figure["what"].as_str(), figure["median"].as_f64()) {
                old.insert((name.to_owned(), what.to_owned()), median);
            }
        }
    }
    Ok(old)
}

/// Old and new beside each other, and which is missing in one of them.
pub(crate) fn table(old: &Old, report: &Report) -> String {
    let mut lines = vec!["changed since the earlier run:".to_owned()];
    for (name, _, outcome) in &report.scenarios {
        for figure in &outcome.figures {
            let key = ((*name).to_owned(), figure.what.clone());
            let now = number(figure.median());
            let line = match old.get(&key) {
                Some(before) => {
                    let change = (figure.median() / before - 1.0) * 100.0;
                    let (least, most) = figure.range();
                    let within = if (least..=most).contains(before) { ", within the runs' range" } else { "" };
                    format!("{} → {now} {} ({change:+.1} %{within})", number(*before), figure.unit)
                }
                None => format!("{now} {} (new)", figure.unit),
            };
            lines.push(format!("  {name}: {}: {line}", figure.what));
        }
    }
    lines.join("\n")
}
