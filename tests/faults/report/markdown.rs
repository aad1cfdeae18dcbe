//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Campaign, Run, svg_name};
use crate::injection::Injection;

/// Most findings shown of one kind.
const SHOWN: usize = 20;

pub(super) fn of(run: &Run) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, run);
    text
}

fn write(out: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(out, "# Faults injected, and what became of every message\n")?;
    writeln!(out, "**{}**\n", run.summary())?;
    writeln!(out, "Seed {}; repeat it with `{}`.\n", run.seed, run.replay)?;
    let versions: Vec<String> = run.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(out, "{}.\n", versions.join(", "))?;
    writeln!(out, "## Campaigns\n")?;
    writeln!(
        out,
        "| campaign | deployment | minutes | faults | acknowledged | unknown | stored | lost | doubled | misordered | unseen | accept p50 / p99 ms | accept to stored p50 / p99 ms |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for campaign in &run.campaigns {
        campaign_line(out, campaign)?;
    }
    for campaign in &run.campaigns {
        writeln!(out, "\n![{}]({})", campaign.name, svg_name(campaign))?;
    }
    rows(out, run)?;
    findings(out, run)
}

fn campaign_line(out: &mut String, campaign: &Campaign) -> std::fmt::Result {
    let t = campaign.totals();
    let (a, s) = (campaign.accept, campaign.store);
    writeln!(
        out,
        "| {} | {} | {:.1} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} / {:.0} | {:.0} / {:.0} |",
        campaign.name,
        campaign.shape.word(),
        campaign.seconds / 60.0,
        t.faults,
        t.acknowledged,
        t.unknown,
        t.stored,
        t.lost,
        t.doubled,
        t.misordered,
        t.unseen,
        a.p50,
        a.p99,
        s.p50,
        s.p99
    )
}

/// Recovery is shown of faults that no other fault overlapped; of all in brackets.
fn rows(out: &mut String, run: &Run) -> std::fmt::Result {
    writeln!(out, "\n## Rows\n")?;
    writeln!(
        out,
        "Recovery is the time from the healing of a fault to the first 200, and to a message stored that was sent after \
         it: the slowest of the faults that no other overlapped, and in brackets of all. Whatever else happens, no message \
         may be lost, doubled, misordered or unseen; what a row expects besides is required while no other fault harms \
         what that rests on: how many of those expectations were, and of how many; a dash where nothing depends on others.\n"
    )?;
    writeln!(out, "| row | fault | injected | repetitions | accepted again s | stored again s | required | broken |")?;
    writeln!(out, "|--:|---|--:|--:|--:|--:|--:|--:|")?;
    let mut by_row: BTreeMap<u8, Vec<&Injection>> = BTreeMap::new();
    for injection in run.campaigns.iter().flat_map(|campaign| &campaign.injections) {
        by_row.entry(injection.row).or_default().push(injection);
    }
    for (row, injections) in by_row {
        let injected = injections.iter().filter(|injection| injection.was_possible()).count();
        let times: u32 = injections.iter().map(|injection| injection.times()).sum();
        let broken = injections.iter().filter(|injection| injection.is_broken()).count();
        let (required, depended) = injections.iter().fold((0, 0), |sum, injection| {
            let (required, depended) = injection.required;
            (sum.0 + required, sum.1 + depended)
        });
        let required = if depended == 0 { "–".to_owned() } else { format!("{required} of {depended}") };
        let slowest = |alone: bool, of: fn(&crate::injection::Recovery) -> f64| {
            let counted = injections.iter().filter(|injection| !(alone && injection.overlapped));
            let slowest = counted.filter_map(|injection| injection.recovery.as_ref().map(of)).reduce(f64::max);
            slowest.map_or("–".to_owned(), |seconds| format!("{seconds:.1}"))
        };
        let accepted = |r: &crate::injection::Recovery| r.accepted.as_secs_f64();
        let stored = |r: &crate::injection::Recovery| r.stored.as_secs_f64();
        writeln!(
            out,
            "| {row} | {} | {injected} | {times} | {} ({}) | {} ({}) | {required} | {broken} |",
            injections[0].name,
            slowest(true, accepted),
            slowest(false, accepted),
            slowest(true, stored),
            slowest(false, stored)
        )?;
    }
    Ok(())
}

fn findings(out: &mut String, run: &Run) -> std::fmt::Result {
    if run.is_clean() && run.totals().not_possible == 0 {
        return Ok(());
    }
    writeln!(out, "\n## Findings\n")?;
    for campaign in &run.campaigns {
        for injection in &campaign.injections {
            if let Err(error) = &injection.outcome {
                writeln!(
                    out,
                    "- {} at {:.1} s, row {} ({}): {error}",
                    campaign.name,
                    injection.begun.as_secs_f64(),
                    injection.row,
                    injection.name
                )?;
            }
        }
        for judged in &campaign.judged {
            match &judged.report {
                Ok(report) => {
                    let kinds = [
                        ("lost", &report.lost),
                        ("doubled", &report.doubled),
                        ("misordered", &report.misordered),
                        ("unseen", &report.unseen),
                        ("stored and sent by nobody", &report.strange),
                    ];
                    for (kind, found) in kinds {
                        for finding in found.iter().take(SHOWN) {
                            writeln!(out, "- {} after {}: {kind}: {finding}", campaign.name, judged.phase)?;
                        }
                    }
                }
                Err(error) => writeln!(out, "- {} after {}: not judged: {error}", campaign.name, judged.phase)?,
            }
        }
    }
    Ok(())
}
