//! Accepting: how many messages a second are durable in the outbox before they are answered, and how long one waits.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use wiber_tests::host::Host;
use wiber_tests::stack::Stack;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome, Plot, median};
use crate::load::{self, Load, Make, Measured, Pace, Series};
use crate::{limits, machine, rig};

const WARM_UP: Duration = Duration::from_secs(2);
/// Of the rate that closed clients reach, the part at which the waiting is measured on a schedule.
const STEADY: f64 = 0.7;
const BATCH: u64 = 100;
const BATCH_CLIENTS: usize = 8;
/// The clients whose figures have goals.
pub(super) const MANY: usize = 64;
const BARE: &str = "a bare handler with group commit, the same host";
/// What that did for [`MANY`] clients in the embedded host, a second, on the machine that the goals were set on.
pub(super) const BARE_RATE: f64 = 25_063.0;

/// What accepts, and what is asked of it.
struct Subject {
    host: Host,
    /// SQLite's journal, as the variable `outbox_journal` names it: by default the same.
    journal: &'static str,
    rate: Set,
    p99: Set,
    /// Of one client.
    p50: Option<Set>,
    plots: [&'static str; 2],
}

/// A goal, and what the bare handler did on the machine that it was set on.
#[derive(Clone, Copy)]
struct Set {
    goal: f64,
    bare: f64,
}

pub(crate) async fn embedded(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let subject = Subject {
        host: Host::Embedded,
        journal: "wal",
        rate: Set { goal: 20_000.0, bare: BARE_RATE },
        p99: Set { goal: 8.0, bare: 3.9 },
        p50: Some(Set { goal: 0.5, bare: 0.3 }),
        plots: ["accept-rate", "accept-latency"],
    };
    single(&args, &subject, &mut outcome).await?;
    beside_all(&args, &mut outcome).await?;
    if let Some(peer) = &args.peer {
        against(&args, peer, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Spin's SQLite has the WAL-reset bug, so that the outbox keeps its journal in TRUNCATE mode there by itself.
pub(crate) async fn spin(args: Args) -> anyhow::Result<Outcome> {
    let plots = ["accept-spin-rate", "accept-spin-latency"];
    let rate = Set { goal: 3_000.0, bare: 2_300.0 };
    let p99 = Set { goal: 150.0, bare: 126.0 };
    on_spin(args, Subject { host: Host::Spin, journal: "truncate", rate, p99, p50: None, plots }).await
}

pub(crate) async fn spin_wal(args: Args) -> anyhow::Result<Outcome> {
    let plots = ["accept-spin-wal-rate", "accept-spin-wal-latency"];
    let rate = Set { goal: 8_000.0, bare: 6_785.0 };
    let p99 = Set { goal: 50.0, bare: 56.0 };
    on_spin(args, Subject { host: Host::Spin, journal: "wal", rate, p99, p50: None, plots }).await
}

async fn on_spin(args: Args, subject: Subject) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    if !Host::present().contains(&Host::Spin) {
        outcome.notes.push("not measured: there is no `spin` on the PATH".to_owned());
        return Ok(outcome);
    }
    single(&args, &subject, &mut outcome).await?;
    Ok(outcome)
}

/// Single messages with nothing else running, at several numbers of clients.
async fn single(args: &Args, subject: &Subject, outcome: &mut Outcome) -> anyhow::Result<()> {
    let host = subject.host;
    let (mut rates, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for clients in [1, 16, MANY, 256] {
        // An outbox of its own, since depth is another scenario.
        let stack = rig::plan("accept").host(host).variable("outbox_journal", subject.journal).bridges(0);
        let stack = stack.start_unready().await;
        let handler = rig::bare(host, subject.journal).await;
        let (address, bare_address) = (rig::address(&stack)?, rig::address(&handler)?);
        let (mut series, mut bare, mut answers) = (Series::default(), Series::default(), Series::default());
        let mut syncs = Vec::new();
        for _ in args.each_run() {
            outcome.idle.push(machine::idle_share().await);
            syncs.push(limits::disk::syncs(stack.folder(), Duration::from_secs(1)).await?);
            answers.add(&closed(args, address, clients, rig::gets(|_, _| "/health/liveness".to_owned())).await?);
            bare.add(&closed(args, bare_address, clients, rig::sends("/messages")).await?);
            series.add(&closed(args, address, clients, rig::sends("/messages")).await?);
        }
        handler.stop().await;
        println!("  {} clients: {}; a bare handler: {}", clients, series.told(), bare.told());
        let x = clients as f64;
        rates.push((x, median(&series.rates)));
        p50s.push((x, median(&series.p50)));
        p99s.push((x, median(&series.p99)));
        let is_goal = clients == MANY;
        let figure = |word: &str, unit, runs: &[f64], bare: &[f64]| {
            let figure = Figure::new(format!("{word}, {clients} clients"), unit, runs.to_vec());
            figure.limit(BARE, bare)
        };
        let set = |figure: Figure, goal: fn(f64) -> Goal, set: Option<Set>| match set {
            Some(set) => figure.goal(goal(set.goal)).basis(set.bare),
            None => figure,
        };
        let rate = figure("accepted", "/s", &series.rates, &bare.rates);
        let p50 = figure("p50", "ms", &series.p50, &bare.p50);
        let p99 = figure("p99", "ms", &series.p99, &bare.p99);
        outcome.figures.push(set(rate, Goal::AtLeast, is_goal.then_some(subject.rate)));
        outcome.figures.push(set(p50, Goal::AtMost, subject.p50.filter(|_| clients == 1)));
        outcome.figures.push(set(p99, Goal::AtMost, is_goal.then_some(subject.p99)));
        let limits = [
            ("a static answer of the same host", "/s", answers.rates),
            ("one fdatasync after the other, before", "/s", syncs),
        ];
        let limit = |(what, unit, runs)| Figure::new(format!("{what}, {clients} clients"), unit, runs);
        outcome.figures.extend(limits.map(limit));
        if is_goal {
            scheduled(args, &stack, median(&series.rates) * STEADY, outcome).await?;
        }
        stack.stop().await;
    }
    let [rate_plot, latency_plot] = subject.plots;
    let word = format!("{}, journal {}", host.word(), subject.journal);
    outcome.plots.push(Plot {
        name: rate_plot,
        title: format!("Durable accepts a second against clients, {word}"),
        x: "clients",
        y: "messages a second",
        is_log: true,
        series: vec![("accepted".to_owned(), rates)],
    });
    outcome.plots.push(Plot {
        name: latency_plot,
        title: format!("How long an accept takes against clients, {word}"),
        x: "clients",
        y: "milliseconds",
        is_log: true,
        series: vec![("p50".to_owned(), p50s), ("p99".to_owned(), p99s)],
    });
    Ok(())
}

/// At a rate that does not wait for answers.
async fn scheduled(args: &Args, stack: &Stack, rate: f64, outcome: &mut Outcome) -> anyhow::Result<()> {
    let (address, mut series) = (rig::address(stack)?, Series::default());
    for _ in args.each_run() {
        let load = load(args, address, 256, rig::sends("/messages"));
        series.add(&load::run(&Load { pace: Pace::Open(rate), ..load }).await?.all_well()?);
    }
    println!("  on a schedule of {rate:.0}/s: {}", series.told());
    let at = format!("on a schedule of {STEADY} of that rate");
    outcome.figures.push(Figure::new(format!("p50, {at}"), "ms", series.p50));
    outcome.figures.push(Figure::new(format!("p99, {at}"), "ms", series.p99));
    outcome.figures.push(Figure::new(format!("p99.9, {at}"), "ms", series.p999));
    Ok(())
}

/// The same while all that was accepted moves on to Kafka and MongoDB on the same processors.
async fn beside_all(args: &Args, outcome: &mut Outcome) -> anyhow::Result<()> {
    let stack = rig::plan("accept-all").start().await;
    let mut series = Series::default();
    for _ in args.each_run() {
        series.add(&closed(args, rig::address(&stack)?, MANY, rig::sends("/messages")).await?);
    }
    println!("  with everything running: {}", series.told());
    outcome.figures.push(Figure::new("accepted with everything running, 64 clients", "/s", series.rates));
    outcome.figures.push(Figure::new("p99 with everything running, 64 clients", "ms", series.p99));
    stack.stop().await;
    Ok(())
}

/// A peer and Wiber in turns.
async fn against(args: &Args, peer: &str, outcome: &mut Outcome) -> anyhow::Result<()> {
    let url: http::Uri = peer.parse().with_context(|| format!("--peer: {peer:?} is no URL"))?;
    let authority = url.authority().with_context(|| format!("--peer: {peer:?} names no host"))?;
    let port = authority.port_u16().unwrap_or(80);
    let found = tokio::net::lookup_host((authority.host(), port)).await?.next();
    let other = found.with_context(|| format!("--peer: nothing is known of {}", authority.host()))?;
    // Leaked once a run, since requests are made all the time.
    let path: &'static str = url.path().to_owned().leak();
    let stack = rig::plan("accept-peer").start().await;
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for _ in args.each_run() {
        ours.add(&closed(args, rig::address(&stack)?, MANY, rig::sends("/messages")).await?);
        theirs.add(&closed(args, other, MANY, rig::sends(path)).await?);
    }
    println!("  Wiber: {}; {peer}: {}", ours.told(), theirs.told());
    outcome.figures.push(Figure::new("Wiber, in turns with the peer, 64 clients", "/s", ours.rates));
    outcome.figures.push(Figure::new(format!("{peer}, 64 clients"), "/s", theirs.rates));
    outcome.figures.push(Figure::new("p99 of Wiber, in turns with the peer", "ms", ours.p99));
    outcome.figures.push(Figure::new(format!("p99 of {peer}"), "ms", theirs.p99));
    stack.stop().await;
    Ok(())
}

pub(crate) async fn batches(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stack = rig::host_alone("batch").await;
    let (mut series, mut messages, mut bare) = (Series::default(), Vec::new(), Vec::new());
    for _ in args.each_run() {
        outcome.idle.push(machine::idle_share().await);
        bare.push(bare_rate(&args).await?);
        let measured = closed(&args, rig::address(&stack)?, BATCH_CLIENTS, rig::batches(BATCH)).await?;
        messages.push(measured.rate() * BATCH as f64);
        series.add(&measured);
    }
    stack.stop().await;
    let rate = Figure::new(format!("messages accepted in batches of {BATCH}, {BATCH_CLIENTS} clients"), "/s", messages);
    let rate = rate.limit("a bare handler's single messages", &bare).basis(BARE_RATE);
    outcome.figures.push(rate.goal(Goal::AtLeast(100_000.0)));
    outcome.figures.push(Figure::new("p50 of a batch", "ms", series.p50));
    outcome.figures.push(Figure::new("p99 of a batch", "ms", series.p99));
    Ok(outcome)
}

/// What a bare handler makes durable a second, for [`MANY`] clients.
pub(super) async fn bare_rate(args: &Args) -> anyhow::Result<f64> {
    let handler = rig::bare(Host::Embedded, "wal").await;
    let measured = closed(args, rig::address(&handler)?, MANY, rig::sends("/messages")).await?;
    handler.stop().await;
    Ok(measured.rate())
}

fn load(args: &Args, address: SocketAddr, connections: usize, make: Make) -> Load {
    Load { address, connections, pace: Pace::Closed, warm_up: WARM_UP, measured: args.measured(), make }
}

async fn closed(args: &Args, address: SocketAddr, clients: usize, make: Make) -> anyhow::Result<Measured> {
    load::run(&load(args, address, clients, make)).await?.all_well()
}
