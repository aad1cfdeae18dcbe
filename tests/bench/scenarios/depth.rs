//! What accepting costs, and what memory is used, against how much lies in the outbox.

use std::time::Duration;

use crate::args::Args;
use crate::figure::{Figure, Outcome, Plot, median};
use crate::load::{self, Load, Pace, Series};
use crate::machine::{self, resident_mb};
use crate::rig;

const CLIENTS: usize = 64;
const CONVERSATIONS: u64 = 10_000;

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stack = rig::host_alone("depth").await;
    let (mut rates, mut p99s, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for depth in depths(args.depth) {
        let lies = u64::try_from(stack.statistics().await.messages)?;
        rig::fill(&stack.client, depth.saturating_sub(lies), CONVERSATIONS).await?;
        let mut series = Series::default();
        outcome.idle.push(machine::idle_share().await);
        let before = stack.statistics().await.messages as f64;
        for _ in args.each_run() {
            let load = Load {
                address: rig::address(&stack)?,
                connections: CLIENTS,
                pace: Pace::Closed,
                warm_up: Duration::from_secs(1),
                // Short, since what is accepted makes the outbox deeper.
                measured: Duration::from_secs(2),
                make: rig::sends("/messages"),
            };
            series.add(&load::run(&load).await?.all_well()?);
        }
        println!("  {before:.0} rows: {}", series.told());
        rates.push((before, median(&series.rates)));
        p99s.push((before, median(&series.p99)));
        memory.push((before, resident_mb(stack.host.pid())?));
        outcome.figures.push(Figure::new(format!("accepted, from {depth} rows on"), "/s", series.rates));
    }
    stack.stop().await;
    if let (Some(least), Some(most)) = (rates.first(), rates.last()) {
        outcome.notes.push(format!(
            "the rate at {:.0} rows is {:.2} of that at {:.0}",
            most.0,
            most.1 / least.1,
            least.0
        ));
    }
    let plot = |name, title: &str, y, word: &str, points| Plot {
        name,
        title: title.to_owned(),
        x: "rows in the outbox",
        y,
        is_log: true,
        series: vec![(word.to_owned(), points)],
    };
    let cost = "Durable accepts a second against the outbox's depth, 64 clients";
    outcome.plots.push(plot("depth-rate", cost, "messages a second", "accepted", rates));
    let wait = "p99 of accepting against the outbox's depth, 64 clients";
    outcome.plots.push(plot("depth-latency", wait, "milliseconds", "p99", p99s));
    let resident = "Memory of the host against the outbox's depth";
    outcome.plots.push(plot("depth-memory", resident, "MB", "resident", memory));
    Ok(outcome)
}

/// 0, then from 10,000 on ten times as many each, up to `most`.
pub(super) fn depths(most: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(10_000_u64), |depth| depth.checked_mul(10));
    let mut depths: Vec<u64> = std::iter::once(0).chain(powers.take_while(|depth| *depth < most)).collect();
    depths.push(most);
    depths
}
