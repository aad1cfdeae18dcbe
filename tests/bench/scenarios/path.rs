//! The whole path held at a rate: whether the outbox grows.

use std::time::Duration;

use tokio::time::Instant;
use wiber_tests::stack::Stack;

use super::accept;
use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome, Plot, median};
use crate::load::{self, Load, Pace};
use crate::{held, machine, rig, stored};

const WARM_UP: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);
/// Of the rate, what the outbox may gain in a second, since its depth trembles.
const STEADY: f64 = 0.01;

/// What was seen at one moment.
struct Look {
    at: f64,
    rows: f64,
    stored: f64,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let goal = f64::from(args.path_rate);
    let bare = accept::bare_rate(&args).await?;
    let rate = held::rate(&args).await?;
    let stack = rig::plan("path").start().await;
    let measured = Duration::from_secs(args.path_seconds);
    outcome.idle.push(machine::idle_share().await);
    let load = Load {
        address: rig::address(&stack)?,
        connections: held::CONNECTIONS,
        pace: Pace::Open(rate),
        warm_up: WARM_UP,
        measured,
        make: rig::sends("/messages"),
    };
    let (met, looks) = tokio::join!(load::run(&load), watch(&stack, WARM_UP + measured));
    let (met, looks) = (met?.all_well()?, looks?);
    let (_, second_half) = looks.split_at(looks.len() / 2);
    let (first, last) = (&second_half[0], &second_half[second_half.len() - 1]);
    let seconds = (last.at - first.at).max(1.0);
    let stored_rate = (last.stored - first.stored) / seconds;
    let growth = (last.rows - first.rows) / seconds;
    let deepest = looks.iter().map(|look| look.rows).fold(0.0, f64::max);
    println!("  accepted {:.0}/s, stored {stored_rate:.0}/s, outbox {growth:+.0}/s, at most {deepest:.0}", met.rate());
    let bare = |figure: Figure| figure.limit("what a bare handler accepts", &[bare]).basis(accept::BARE_RATE);
    let accepted = Figure::new("accepted", "/s", vec![met.rate()]);
    let stored_figure = Figure::new("stored, second half", "/s", vec![stored_rate]);
    outcome.figures.push(bare(accepted.goal(Goal::AtLeast(goal * (1.0 - STEADY)))));
    outcome.figures.push(bare(stored_figure.goal(Goal::AtLeast(goal * (1.0 - STEADY)))));
    outcome.figures.push(
        Figure::new("growth of the outbox, second half", "rows/s", vec![growth]).goal(Goal::AtMost(rate * STEADY)),
    );
    outcome.figures.push(Figure::new("rows in the outbox, at most", "rows", vec![deepest]));
    outcome.figures.push(Figure::new("p50 of accepting, on its schedule", "ms", vec![met.quantile(0.5)]));
    outcome.figures.push(Figure::new("p99 of accepting, on its schedule", "ms", vec![met.quantile(0.99)]));
    let rows: Vec<f64> = second_half.iter().map(|look| look.rows).collect();
    outcome.notes.push(format!(
        "{} s at {rate:.0}/s, the highest rate up to {goal:.0}/s that was held for a minute and more; median of the rows {:.0}",
        args.path_seconds,
        median(&rows)
    ));
    outcome.plots.push(Plot {
        name: "path",
        title: format!("Rows in the outbox while {rate:.0} messages a second pass"),
        x: "seconds",
        y: "rows",
        is_log: false,
        series: vec![("rows".to_owned(), looks.iter().map(|look| (look.at, look.rows)).collect())],
    });
    stack.stop().await;
    Ok(outcome)
}

async fn watch(stack: &Stack, length: Duration) -> anyhow::Result<Vec<Look>> {
    let (began, mut looks) = (Instant::now(), Vec::new());
    let mut clock = tokio::time::interval(LOOK);
    while began.elapsed() < length {
        clock.tick().await;
        let (statistics, stored) = tokio::join!(stack.statistics(), stored::count(stack));
        looks.push(Look {
            at: began.elapsed().as_secs_f64(),
            rows: statistics.messages as f64,
            stored: stored? as f64,
        });
    }
    anyhow::ensure!(looks.len() >= 4, "--path-seconds is too short to be looked at");
    Ok(looks)
}
