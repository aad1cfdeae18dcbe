//! The time line of a campaign: bars of faults by row over the rates of acceptance and storage.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Campaign;
use crate::sampler::Sample;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const LANE: f64 = 18.0;
const PLOT: f64 = 160.0;
const GAP: f64 = 30.0;

pub(super) fn of(campaign: &Campaign) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, campaign);
    text
}

fn write(out: &mut String, campaign: &Campaign) -> std::fmt::Result {
    let rows: BTreeSet<(u8, &str)> = campaign.injections.iter().map(|i| (i.row, i.name)).collect();
    let lanes = rows.len() as f64 * LANE;
    let height = TOP + lanes + GAP + PLOT + 40.0;
    let seconds = campaign.seconds.max(1.0);
    let x = |at: f64| LEFT + at / seconds * (WIDTH - LEFT - RIGHT);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="10" y="22" font-size="15">{}, {}</text>
<text x="10" y="40" fill="#555">dark: fault held; light: until a new message is stored; red: an expectation broke</text>"##,
        campaign.name,
        campaign.shape.word()
    )?;
    for (index, (row, name)) in rows.iter().enumerate() {
        let y = TOP + index as f64 * LANE;
        writeln!(out, r##"<text x="10" y="{:.0}">{row} {name}</text>"##, y + 13.0)?;
        writeln!(
            out,
            r##"<line x1="{LEFT}" y1="{0:.0}" x2="{1}" y2="{0:.0}" stroke="#eee"/>"##,
            y + LANE,
            WIDTH - RIGHT
        )?;
        for injection in campaign.injections.iter().filter(|i| i.row == *row) {
            let (begun, healed, ended) =
                (injection.begun.as_secs_f64(), injection.healed.as_secs_f64(), injection.ended.as_secs_f64());
            let (dark, light) = if injection.outcome.is_ok() { ("#1f4e79", "#9dc3e6") } else { ("#c00000", "#f4b6b6") };
            bar(out, x(begun), x(healed), y, dark)?;
            bar(out, x(healed), x(ended), y, light)?;
        }
    }
    plot(out, campaign, TOP + lanes + GAP, x)?;
    writeln!(out, "</svg>")
}

fn bar(out: &mut String, from: f64, to: f64, y: f64, colour: &str) -> std::fmt::Result {
    let width = (to - from).max(1.0);
    writeln!(
        out,
        r#"<rect x="{from:.1}" y="{:.1}" width="{width:.1}" height="{:.1}" fill="{colour}"/>"#,
        y + 3.0,
        LANE - 6.0
    )
}

fn plot(out: &mut String, campaign: &Campaign, top: f64, x: impl Fn(f64) -> f64) -> std::fmt::Result {
    let accepted = rates(&campaign.samples, |sample| sample.acknowledged);
    let stored = rates(&campaign.samples, |sample| sample.stored);
    let most = accepted.iter().chain(&stored).map(|(_, rate)| *rate).fold(1.0, f64::max);
    let y = |rate: f64| top + PLOT - rate / most * PLOT;
    for step in 0..=4 {
        let rate = most * f64::from(step) / 4.0;
        writeln!(
            out,
            r##"<line x1="{LEFT}" y1="{0:.1}" x2="{1}" y2="{0:.1}" stroke="#ddd"/>"##,
            y(rate),
            WIDTH - RIGHT
        )?;
        writeln!(
            out,
            r##"<text x="{}" y="{:.1}" text-anchor="end" fill="#555">{rate:.0}/s</text>"##,
            LEFT - 6.0,
            y(rate) + 4.0
        )?;
    }
    for (name, rates, colour, offset) in [("accepted", &accepted, "#2e7d32", 0.0), ("stored", &stored, "#e07b00", 90.0)]
    {
        let points: Vec<String> = rates.iter().map(|(at, rate)| format!("{:.1},{:.1}", x(*at), y(*rate))).collect();
        writeln!(out, r#"<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{}"/>"#, points.join(" "))?;
        writeln!(out, r#"<text x="{:.0}" y="{:.0}" fill="{colour}">{name}</text>"#, LEFT + offset, top - 8.0)?;
    }
    let minutes = (campaign.seconds / 60.0).floor() as u32;
    for minute in 0..=minutes {
        let at = x(f64::from(minute) * 60.0);
        writeln!(
            out,
            r##"<text x="{at:.0}" y="{:.0}" text-anchor="middle" fill="#555">{minute} min</text>"##,
            top + PLOT + 16.0
        )?;
    }
    Ok(())
}

fn rates(samples: &[Sample], count: impl Fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let rate = |(before, after): (&Sample, &Sample)| {
        let seconds = (after.at - before.at).as_secs_f64().max(0.001);
        (after.at.as_secs_f64(), count(after).saturating_sub(count(before)) as f64 / seconds)
    };
    pairs.map(rate).collect()
}
