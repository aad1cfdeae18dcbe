//! The whole report for programs.

use serde_json::{Value, json};

use super::{Campaign, Judged, Percentiles, Run, Totals};
use crate::injection::Injection;

pub(super) fn of(run: &Run) -> Value {
    json!({
        "seed": run.seed.to_string(),
        "replay": run.replay,
        "versions": run.versions,
        "clean": run.is_clean(),
        "totals": totals(&run.totals()),
        "campaigns": run.campaigns.iter().map(campaign).collect::<Vec<_>>(),
    })
}

fn totals(totals: &Totals) -> Value {
    json!({
        "faults": totals.faults,
        "expectationsBroken": totals.broken_rows,
        "notPossible": totals.not_possible,
        "acknowledged": totals.acknowledged,
        "unknown": totals.unknown,
        "stored": totals.stored,
        "lost": totals.lost,
        "doubled": totals.doubled,
        "misordered": totals.misordered,
        "unseen": totals.unseen,
        "strange": totals.strange,
        "judgementsMissing": totals.unjudged,
    })
}

fn campaign(campaign: &Campaign) -> Value {
    json!({
        "name": campaign.name,
        "deployment": campaign.shape.word(),
        "seconds": campaign.seconds,
        "totals": totals(&campaign.totals()),
        "acceptMs": percentiles(campaign.accept),
        "acceptToStoredMs": percentiles(campaign.store),
        "judgements": campaign.judged.iter().map(judged).collect::<Vec<_>>(),
        "injections": campaign.injections.iter().map(injection).collect::<Vec<_>>(),
        "samples": campaign.samples.iter().map(|s| json!([s.at.as_secs_f64(), s.acknowledged, s.stored])).collect::<Vec<_>>(),
    })
}

fn percentiles(p: Percentiles) -> Value {
    json!({ "p50": p.p50, "p99": p.p99, "max": p.max })
}

fn judged(judged: &Judged) -> Value {
    let found = match &judged.report {
        Ok(report) => json!({
            "lost": report.lost, "doubled": report.doubled, "misordered": report.misordered, "unseen": report.unseen,
            "strange": report.strange,
        }),
        Err(error) => json!({ "error": error }),
    };
    json!({ "phase": judged.phase, "seconds": judged.seconds, "found": found })
}

fn injection(injection: &Injection) -> Value {
    let (detail, broken) = match &injection.outcome {
        Ok(done) => (done.detail.as_str(), None),
        Err(error) => ("", Some(error.to_string())),
    };
    json!({
        "row": injection.row,
        "name": injection.name,
        "lane": injection.lane,
        "faults": injection.times(),
        "begun": injection.begun.as_secs_f64(),
        "healed": injection.healed.as_secs_f64(),
        "ended": injection.ended.as_secs_f64(),
        "overlapped": injection.overlapped,
        "required": injection.required.0,
        "requiredAtMost": injection.required.1,
        "detail": detail,
        "broken": broken,
        "acceptedAfterMs": injection.recovery.map(|r| r.accepted.as_secs_f64() * 1e3),
        "storedAfterMs": injection.recovery.map(|r| r.stored.as_secs_f64() * 1e3),
    })
}
