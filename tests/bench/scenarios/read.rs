//! Reading pages of 50 messages, against how much is stored and how long the conversation is.

mod archive;

use std::time::Duration;

use wiber_tests::stack::Stack;

use archive::Archive;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome, Plot, median};
use crate::load::{self, Load, Make, Pace, Series};
use crate::machine::resident_mb;
use crate::{limits, machine, rig};

const CLIENTS: usize = 64;
const CALL: &str = "a call of a function to the bridge and back";
const RATE: Goal = Goal::AtLeast(7_000.0);
const P99: Goal = Goal::AtMost(30.0);

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stack = rig::plan("read").start().await;
    let mut archive = Archive::new(&stack.store);
    let (mut rates, mut p99s, mut hosts, mut bridges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut answers, mut calls) = (Series::default(), Series::default());
    for _ in args.each_run() {
        answers.add(&run_load(&args, &stack, rig::gets(|_, _| "/health/liveness".to_owned())).await?);
        calls.add(&run_load(&args, &stack, rig::gets(|_, _| "/health/readiness/fetch".to_owned())).await?);
    }
    for volume in super::depth::depths(args.volume).into_iter().skip(1) {
        archive.grow_to(volume).await?;
        let conversations = archive.conversations();
        let any = rig::gets(move |connection, count| {
            format!("{}?limit=50", archive::path(number(connection as u64, count, conversations)))
        });
        let series = measure(&args, &stack, any, &mut outcome).await?;
        println!("  {volume} stored: {}", series.told());
        rates.push((volume as f64, median(&series.rates)));
        p99s.push((volume as f64, median(&series.p99)));
        let is_goal = volume == 10_000 || volume == args.volume;
        let mut finds = Vec::new();
        for _ in args.each_run() {
            finds.push(limits::mongo::pages(&stack.store, key, conversations).await?);
        }
        hosts.push((volume as f64, resident_mb(stack.host.pid())?));
        bridges.push((volume as f64, resident_mb(stack.bridge().pid())?));
        let rate = Figure::new(format!("pages read, {volume} stored"), "/s", series.rates);
        let rate = rate.limit(CALL, &calls.rates);
        outcome.figures.push(Figure::new(format!("MongoDB alone, the same query, {volume} stored"), "/s", finds));
        let p99 = Figure::new(format!("p99, {volume} stored"), "ms", series.p99);
        outcome.figures.push(if is_goal { rate.goal(RATE) } else { rate });
        outcome.figures.push(if is_goal { p99.goal(P99) } else { p99 });
    }
    let length = archive.long();
    let deep = length / 10;
    let shapes: [(String, String); 3] = [
        (format!("at offset {deep} of {length}"), format!("?limit=50&offset={deep}")),
        (format!("the newest of {length}"), "?limit=50&order=desc".to_owned()),
        (format!("the first of {length}"), "?limit=50".to_owned()),
    ];
    for (word, query) in shapes {
        let path = format!("{}{query}", archive::long_path());
        let series = measure(&args, &stack, rig::gets(move |_, _| path.clone()), &mut outcome).await?;
        println!("  {word}: {}", series.told());
        let rate = Figure::new(format!("pages read, {word}"), "/s", series.rates).goal(RATE);
        outcome.figures.push(rate.limit(CALL, &calls.rates));
        outcome.figures.push(Figure::new(format!("p99, {word}"), "ms", series.p99).goal(P99));
    }
    outcome.figures.push(Figure::new(CALL, "/s", calls.rates));
    outcome.figures.push(Figure::new(format!("p99 of {CALL}"), "ms", calls.p99));
    outcome.figures.push(Figure::new("a static answer of the same host", "/s", answers.rates));
    stack.stop().await;
    stack.store.database().drop().await?;
    let plot = |name, title: &str, y, series: Vec<(&str, Vec<(f64, f64)>)>| Plot {
        name,
        title: title.to_owned(),
        x: "messages stored",
        y,
        is_log: true,
        series: series.into_iter().map(|(word, points)| (word.to_owned(), points)).collect(),
    };
    outcome.plots.push(plot(
        "read-rate",
        "Pages read a second against what is stored, 64 clients",
        "pages a second",
        vec![("pages of 50", rates)],
    ));
    let wait = "p99 of reading a page against what is stored";
    outcome.plots.push(plot("read-latency", wait, "milliseconds", vec![("pages of 50", p99s)]));
    let memory = "Memory of host and bridge against what is stored";
    outcome.plots.push(plot("read-memory", memory, "MB", vec![("host", hosts), ("bridge", bridges)]));
    Ok(outcome)
}

/// The conversation that is asked for, out of all; both steps are prime to every number of conversations used here.
fn number(connection: u64, count: u64, of: u64) -> u64 {
    (connection * 7_919 + count * 104_729) % of
}

fn key(connection: u64, count: u64, of: u64) -> String {
    archive::key(number(connection, count, of))
}

async fn measure(args: &Args, stack: &Stack, make: Make, outcome: &mut Outcome) -> anyhow::Result<Series> {
    let mut series = Series::default();
    for _ in args.each_run() {
        outcome.idle.push(machine::idle_share().await);
        series.add(&run_load(args, stack, make.clone()).await?);
    }
    Ok(series)
}

async fn run_load(args: &Args, stack: &Stack, make: Make) -> anyhow::Result<load::Measured> {
    let load = Load {
        address: rig::address(stack)?,
        connections: CLIENTS,
        pace: Pace::Closed,
        warm_up: Duration::from_secs(2),
        measured: args.measured(),
        make,
    };
    load::run(&load).await?.all_well()
}
