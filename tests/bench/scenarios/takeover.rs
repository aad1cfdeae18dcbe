//! A bridge is killed under load: how long a message waits at most from its acceptance to its storing.

use std::time::Duration;

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use wiber_tests::load::{Load, Shape};
use wiber_tests::stack::Stack;
use wiber_tests::wait;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome};
use crate::{machine, rig, stored};

/// Messages that must have gone through before and after.
const WARM: usize = 400;
/// As `up` and compose set it.
const SHORT: (&str, &str) = ("WIBER_KAFKA_SESSION_TIMEOUT_MS", "2000");
/// Clients, one message each 20 ms: enough for every partition, too few to fill anything.
const SHAPE: Shape = Shape { clients: 24, pace: Duration::from_millis(20), fickle: false };

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (mut restarted, mut taken_over, mut by_default) = (Vec::new(), Vec::new(), Vec::new());
    let (name, value) = SHORT;
    for _ in args.each_run() {
        outcome.idle.push(machine::idle_share().await);
        let one = rig::plan("restart").setting(name, value).setting("WIBER_INSTANCE_ID", "one");
        restarted.push(longest_wait(&one.start().await, true).await?);
        let two = || rig::plan("takeover").bridges(2);
        taken_over.push(longest_wait(&two().setting(name, value).start().await, false).await?);
        by_default.push(longest_wait(&two().start().await, false).await?);
        println!(
            "  restarted {:.2?} s, taken over {:.2?} s, with default sessions {:.2?} s",
            restarted.last(),
            taken_over.last(),
            by_default.last()
        );
    }
    let goal = Goal::AtMost(3.0);
    outcome.figures.push(Figure::new("longest wait, killed and started again at once", "s", restarted).goal(goal));
    outcome.figures.push(Figure::new("longest wait, killed and another takes over", "s", taken_over).goal(goal));
    let by_default = Figure::new("longest wait, sessions of 6 s as default brokers want them", "s", by_default);
    outcome.figures.push(by_default.goal(Goal::AtMost(8.0)));
    outcome.notes.push(format!("{name} is {value}, as `up` and compose set it, but in the last line"));
    Ok(outcome)
}

/// Messages that may be on their way where nothing is behind.
const UNDER_WAY: u64 = 100;

/// Kills the first bridge under load; seconds.
async fn longest_wait(stack: &Stack, restarts: bool) -> anyhow::Result<f64> {
    let load = Load::start(&stack.client, SHAPE);
    load.progress(WARM).await;
    for bridge in 0..stack.bridges.len() {
        reads_partitions(stack, bridge).await;
    }
    wait::until("messages to be stored as they come", async || {
        let sent = load.acknowledged() as u64;
        let stored = stored::count(stack).await.map_err(|error| error.to_string())?;
        if stored + UNDER_WAY >= sent { Ok(()) } else { Err(format!("{stored} of {sent}")) }
    })
    .await;
    let killed_at = newest(stack).await?;
    stack.bridge().kill().await;
    if restarts {
        stack.bridge().start();
    }
    load.progress(WARM).await;
    let sent = load.acknowledged() as u64;
    let log = load.finish().await;
    wait::until("everything to be stored", async || {
        let stored = stack.store.collection("messages").count_documents(doc! {}).await;
        let stored = stored.map_err(|error| error.to_string())?;
        if stored >= log.len() as u64 { Ok(()) } else { Err(format!("{stored} of {sent}")) }
    })
    .await;
    let after = doc! { "hops.acceptedAt": { "$gte": killed_at } };
    let documents: Vec<Document> = stack.store.collection("messages").find(after).await?.try_collect().await?;
    let mut longest = 0;
    for document in documents {
        let hops = document.get_document("hops")?;
        longest = longest.max(hops.get_i64("storedAt")? - hops.get_i64("acceptedAt")?);
    }
    stack.stop().await;
    Ok(longest as f64 / 1000.0)
}

/// Waits until a bridge has its part of the partitions: one that has none is not missed.
async fn reads_partitions(stack: &Stack, bridge: usize) {
    let client = stack.bridge_client(bridge);
    wait::until("a bridge to have partitions", async || {
        let metrics = client.get("/metrics").await.expect(200);
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("wiber_partitions_assigned ")).unwrap_or("0");
        if line == "0" { Err(text) } else { Ok(()) }
    })
    .await;
}

/// When the newest stored message was accepted, Unix milliseconds; the first may still be on its way.
async fn newest(stack: &Stack) -> anyhow::Result<i64> {
    let messages = stack.store.collection("messages");
    let newest = wait::until("a stored message", async || {
        let found = messages.find_one(doc! {}).sort(doc! { "hops.acceptedAt": -1 }).await;
        found.map_err(|error| error.to_string())?.ok_or_else(|| "none is stored".to_owned())
    })
    .await;
    Ok(newest.get_document("hops")?.get_i64("acceptedAt")?)
}
