//! Kafka stands still: whether accepting notices.

use std::time::Duration;

use wiber_tests::servers;

use crate::args::Args;
use crate::figure::{Figure, Outcome};
use crate::load::{self, Load, Pace, Series};
use crate::{machine, rig};

const FROZEN: Duration = Duration::from_secs(20);
/// A load that leaves the processors time, so that what is seen is waiting.
const RATE: f64 = 1_000.0;
const CONNECTIONS: usize = 64;

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let kafka = servers::disturbable_kafka().await;
    let stack = rig::plan("frozen").kafka(&kafka.bootstrap_servers()).start().await;
    let load = Load {
        address: rig::address(&stack)?,
        connections: CONNECTIONS,
        pace: Pace::Open(RATE),
        warm_up: Duration::from_secs(2),
        measured: FROZEN,
        make: rig::sends("/messages"),
    };
    let (mut running, mut frozen) = (Series::default(), Series::default());
    for _ in args.each_run() {
        outcome.idle.push(machine::idle_share().await);
        running.add(&load::run(&load).await?.all_well()?);
        kafka.process().pause()?;
        let met = load::run(&load).await;
        kafka.resume()?;
        frozen.add(&met?.all_well()?);
        stack.ready().await;
    }
    println!("  running: {}; frozen: {}", running.told(), frozen.told());
    stack.stop().await;
    outcome.figures.push(Figure::new("accepted, Kafka running", "/s", running.rates));
    outcome.figures.push(Figure::new("accepted, Kafka frozen", "/s", frozen.rates));
    outcome.figures.push(Figure::new("p99 of accepting, Kafka running", "ms", running.p99));
    outcome.figures.push(Figure::new("p99 of accepting, Kafka frozen", "ms", frozen.p99));
    outcome.notes.push(format!("{RATE:.0} messages a second on a schedule for {FROZEN:?} each"));
    Ok(outcome)
}
