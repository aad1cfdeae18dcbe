//! A plot as SVG.

use std::fmt::Write as _;

use super::number;
use crate::figure::Plot;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 4] = ["#1f4e79", "#e07b00", "#2e7d32", "#7b1fa2"];

pub(super) fn of(plot: &Plot) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, plot);
    text
}

fn write(out: &mut String, plot: &Plot) -> std::fmt::Result {
    let points = || plot.series.iter().flat_map(|(_, points)| points);
    let scaled = |x: f64| if plot.is_log { x.max(1.0).log10() } else { x };
    let (from, to) = points()
        .map(|(x, _)| scaled(*x))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| (least.min(x), most.max(x)));
    let top = points().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let x = |value: f64| LEFT + (scaled(value) - from) / (to - from).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="10" y="20" font-size="15">{}</text>
<text x="10" y="{}" fill="#555">{}</text>
<text x="{}" y="{}" text-anchor="end" fill="#555">{}</text>"##,
        plot.title,
        TOP - 12.0,
        plot.y,
        WIDTH - RIGHT,
        HEIGHT - 10.0,
        plot.x
    )?;
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let at = y(value);
        writeln!(out, r##"<line x1="{LEFT}" y1="{at:.1}" x2="{}" y2="{at:.1}" stroke="#ddd"/>"##, WIDTH - RIGHT)?;
        let text = number(value);
        writeln!(out, r##"<text x="{}" y="{:.1}" text-anchor="end" fill="#555">{text}</text>"##, LEFT - 6.0, at + 4.0)?;
    }
    if plot.is_log {
        for (value, _) in plot.series.first().map(|(_, points)| points.as_slice()).unwrap_or_default() {
            mark(out, x(*value), *value)?;
        }
    } else {
        (0..=4)
            .map(|step| from + (to - from) * f64::from(step) / 4.0)
            .try_for_each(|value| mark(out, x(value), value))?;
    }
    for ((name, points), (index, colour)) in plot.series.iter().zip(COLOURS.iter().enumerate()) {
        let line: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        writeln!(out, r#"<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{}"/>"#, line.join(" "))?;
        if plot.is_log {
            for (px, py) in points {
                writeln!(out, r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{colour}"/>"#, x(*px), y(*py))?;
            }
        }
        let at = LEFT + 40.0 + index as f64 * 120.0;
        writeln!(out, r#"<text x="{at:.0}" y="{:.0}" fill="{colour}">{name}</text>"#, TOP - 12.0 + 0.0)?;
    }
    writeln!(out, "</svg>")
}

fn mark(out: &mut String, at: f64, value: f64) -> std::fmt::Result {
    let text = if value < 1_000.0 { format!("{value:.0}") } else { number(value) };
    let y = HEIGHT - BOTTOM + 16.0;
    writeln!(out, r##"<text x="{at:.1}" y="{y}" text-anchor="middle" fill="#555">{text}</text>"##)
}
