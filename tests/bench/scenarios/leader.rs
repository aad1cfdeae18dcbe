//! One of three brokers is killed: whether accepting notices, for how long nothing is published, what is sent twice.

use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::try_join_all;
use mongodb::bson::{Document, doc};
use wiber_servers::kafka::{self, Kafka, Voter};
use wiber_servers::progress::Progress;
use wiber_servers::tools;
use wiber_tests::stack::Stack;
use wiber_tests::{names, ports, run};

use crate::args::Args;
use crate::ends::Ends;
use crate::figure::{Figure, Outcome};
use crate::load::{self, Load, Measured, Pace, Series};
use crate::{machine, rig, stored};

const BROKERS: u32 = 3;
/// A load that leaves the processors time, so that what is seen is waiting.
const RATE: f64 = 500.0;
const CONNECTIONS: usize = 32;
/// How long a load lasts; the broker is killed after a third of the second.
const LENGTH: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (mut calm, mut killed) = (Series::default(), Series::default());
    let (mut longest, mut twice) = (Vec::new(), Vec::new());
    for _ in args.each_run() {
        let brokers = brokers().await?;
        let servers: Vec<String> = brokers.iter().map(Kafka::bootstrap_servers).collect();
        let plan = rig::plan("leader").kafka(&servers.join(","));
        let plan = plan.setting("WIBER_KAFKA_REPLICATION_FACTOR", "3").setting("WIBER_KAFKA_MIN_INSYNC_REPLICAS", "2");
        let stack = plan.start().await;
        outcome.idle.push(machine::idle_share().await);
        calm.add(&load::run(&load(&stack)?).await?.all_well()?);
        let (met, ()) = tokio::join!(beside(&stack), async {
            tokio::time::sleep(LENGTH / 3).await;
            brokers[0].kill().await;
        });
        killed.add(&met?.all_well()?);
        let accepted = stack.statistics().await.accepted_total;
        stored::all(u64::try_from(accepted)?, async || stored::count(&stack).await).await?;
        longest.push(longest_publishing(&stack).await?);
        twice.push(Ends::of(&stack)?.sum()? as f64 - accepted as f64);
        stack.stop().await;
        for broker in &brokers {
            broker.kill().await;
        }
    }
    println!("  calm: {}; killed: {}; published after {longest:.1?} s at most", calm.told(), killed.told());
    outcome.figures.push(Figure::new("accepted, three brokers", "/s", calm.rates));
    outcome.figures.push(Figure::new("accepted while one is killed", "/s", killed.rates));
    outcome.figures.push(Figure::new("p99 of accepting, three brokers", "ms", calm.p99));
    outcome.figures.push(Figure::new("p99 of accepting while one is killed", "ms", killed.p99));
    outcome.figures.push(Figure::new("longest from accepted to published", "s", longest));
    outcome.figures.push(Figure::new("records that were sent twice", "records", twice));
    outcome.notes.push(format!(
        "{RATE:.0} messages a second on a schedule for {LENGTH:?} each; replication factor 3, two in sync"
    ));
    Ok(outcome)
}

async fn brokers() -> anyhow::Result<Vec<Kafka>> {
    let tools = tools::kafka(&tools::default_cache(), &Progress::new()).await?;
    let folder = run::subfolder(&names::unique("brokers"));
    let voter = |node_id| Voter { node_id, controller_port: ports::reserve() };
    let quorum: Vec<Voter> = (1..=BROKERS).map(voter).collect();
    let start = async |voter: &Voter| {
        let mut options = kafka::Options::new(folder.join(voter.node_id.to_string()));
        options.node_id = voter.node_id;
        options.controller_port = Some(voter.controller_port);
        options.port = Some(ports::reserve());
        options.quorum.clone_from(&quorum);
        kafka::start(&tools, options).await
    };
    Ok(try_join_all(quorum.iter().map(start)).await?)
}

fn load(stack: &Stack) -> anyhow::Result<Load> {
    Ok(Load {
        address: rig::address(stack)?,
        connections: CONNECTIONS,
        pace: Pace::Open(RATE),
        warm_up: Duration::from_secs(2),
        measured: LENGTH,
        make: rig::sends("/messages"),
    })
}

async fn beside(stack: &Stack) -> anyhow::Result<Measured> {
    load::run(&load(stack)?).await
}

/// Of all stored messages, seconds.
async fn longest_publishing(stack: &Stack) -> anyhow::Result<f64> {
    let hops = doc! { "hops": 1 };
    let mut documents = stack.store.collection("messages").find(doc! {}).projection(hops).await?;
    let mut longest = 0;
    while let Some(document) = documents.try_next().await? {
        let hops: &Document = document.get_document("hops")?;
        longest = longest.max(hops.get_i64("publishedAt")? - hops.get_i64("acceptedAt")?);
    }
    Ok(longest as f64 / 1000.0)
}
