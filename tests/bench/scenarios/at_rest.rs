//! Nothing happens: what processors and memory are used nevertheless, and how soon a host serves.

use std::time::{Duration, Instant};

use wiber_tests::servers;
use wiber_tests::stack::Stack;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome};
use crate::machine::{self, cpu_seconds, resident_mb};
use crate::rig;

/// How long nothing has happened before it is looked at.
const QUIET: Duration = Duration::from_secs(60);
const MESSAGES: u64 = 10_000;

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let stack = rig::plan("rest").start().await;
    // So that caches and pools are what they are after work.
    rig::fill(&stack.client, MESSAGES, 100).await?;
    crate::stored::all(MESSAGES, async || crate::stored::count(&stack).await).await?;
    tokio::time::sleep(QUIET).await;
    let (kafka, mongo) = servers::shared().await.pids();
    let own = [stack.host.pid(), stack.bridge().pid()];
    let (mut cpu, mut cpu_kafka, mut cpu_mongo) = (Vec::new(), Vec::new(), Vec::new());
    let (mut host, mut bridge) = (Vec::new(), Vec::new());
    for _ in args.each_run() {
        let before = [used(&own)?, used(&[kafka])?, used(&[mongo])?];
        let began = Instant::now();
        tokio::time::sleep(args.measured() * 2).await;
        let percent = |before: f64, after: f64| (after - before) / began.elapsed().as_secs_f64() * 100.0;
        cpu.push(percent(before[0], used(&own)?));
        cpu_kafka.push(percent(before[1], used(&[kafka])?));
        cpu_mongo.push(percent(before[2], used(&[mongo])?));
        host.push(resident_mb(own[0])?);
        bridge.push(resident_mb(own[1])?);
        outcome.idle.push(machine::idle_share().await);
    }
    let of = "% of a core";
    outcome.figures.push(Figure::new("host and bridge together", of, cpu).goal(Goal::AtMost(3.0)));
    outcome.figures.push(Figure::new("Kafka beside them", of, cpu_kafka));
    outcome.figures.push(Figure::new("MongoDB beside them", of, cpu_mongo));
    outcome.figures.push(Figure::new("memory of the host", "MB", host).goal(Goal::AtMost(100.0)));
    outcome.figures.push(Figure::new("memory of the bridge", "MB", bridge).goal(Goal::AtMost(40.0)));
    let mut starts = Vec::new();
    for _ in args.each_run() {
        starts.push(start(&stack).await);
    }
    outcome.figures.push(Figure::new("host's start until it serves", "s", starts).goal(Goal::AtMost(1.0)));
    stack.stop().await;
    Ok(outcome)
}

fn used(pids: &[u32]) -> anyhow::Result<f64> {
    pids.iter().map(|pid| cpu_seconds(*pid)).sum()
}

/// Seconds from a host's start until it answers.
async fn start(stack: &Stack) -> f64 {
    stack.host.kill().await;
    let began = Instant::now();
    stack.host.start();
    stack.alive().await;
    began.elapsed().as_secs_f64()
}
