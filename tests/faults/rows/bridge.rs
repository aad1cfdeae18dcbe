//! The bridge as a process: dead between two steps, two at once, asleep, coming and going.

use std::time::Duration;

use rand::Rng as _;
use wiber_tests::proxy::Proxy;

use super::{Context, Part};
use crate::injection::{Done, Trouble};
use crate::world::{SPARE, World};

/// Fewer rounds say nothing about a rate.
const ROUNDS_JUDGED: u32 = 4;

/// The relay's marks do not arrive, then it dies: its rows are in Kafka and not known to be.
pub(super) async fn dies_before_marks(mut context: Context) -> Result<Done, Trouble> {
    let world = &context.world;
    world.stack.outbox_link.pause();
    let held = context.draws.random_range(100..1_500);
    tokio::time::sleep(Duration::from_millis(held)).await;
    for bridge in world.working_bridges() {
        bridge.kill().await;
    }
    // What was held dies with the bridges.
    world.stack.outbox_link.cut();
    world.stack.outbox_link.heal();
    Ok(Done::once(format!("marks held for {held} ms, then both bridges killed")))
}

/// Commits do not arrive while records that were fetched are written, then it dies.
pub(super) async fn dies_before_commits(mut context: Context) -> Result<Done, Trouble> {
    let world = &context.world;
    world.brokers.iter().for_each(|broker| broker.link.pause());
    let held = context.draws.random_range(20..800);
    tokio::time::sleep(Duration::from_millis(held)).await;
    for bridge in world.working_bridges() {
        bridge.kill().await;
    }
    let links = || world.brokers.iter().map(|broker| &broker.link);
    links().for_each(Proxy::cut);
    links().for_each(Proxy::heal);
    Ok(Done::once(format!("commits held for {held} ms, then both bridges killed")))
}

/// An overlapping deployment: the new bridge starts before the old one ends.
pub(super) async fn overlaps(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    world.release(world.bridge(SPARE));
    context.hold(2.0, 6.0).await;
    let old = world.bridge(context.draws.random_range(0..SPARE));
    let orderly = context.draws.random_bool(0.5);
    if orderly {
        old.terminate(Duration::from_secs(20)).await;
    } else {
        old.kill().await;
    }
    context.hold(2.0, 6.0).await;
    world.hold(world.bridge(SPARE));
    world.bridge(SPARE).kill().await;
    Ok(Done::once(if orderly { "the old one ended in order" } else { "the old one was killed" }))
}

/// Paused beyond lease and session, then awake with all that it had in hand.
pub(super) async fn sleeps(mut context: Context) -> Result<Done, Trouble> {
    let index = context.draws.random_range(0..SPARE);
    let long = !context.short && context.draws.random_bool(0.1);
    context.world.bridge(index).pause();
    let slept = if long { context.hold(100.0, 120.0).await } else { context.hold(5.0, 30.0).await };
    context.world.bridge(index).resume();
    Ok(Done::once(format!("bridge {index} slept {slept:.1?}")))
}

/// Consumers that join and leave all the time; at least half of what comes is stored meanwhile.
pub(super) async fn churns(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let others = context.calm(&[Part::Host, Part::Kafka, Part::Mongo]);
    let before = progress(&world).await;
    let rounds = if context.short { 2 } else { context.draws.random_range(3..8) };
    for _ in 0..rounds {
        world.release(world.bridge(SPARE));
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.hold(world.bridge(SPARE));
        if context.draws.random_bool(0.5) && world.bridge(SPARE).ended().is_none() {
            world.bridge(SPARE).terminate(Duration::from_secs(20)).await;
        } else {
            world.bridge(SPARE).kill().await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // Another row may keep MongoDB away.
    let (Ok(before), Ok(after)) = (before, progress(&world).await) else {
        others.requires_if(false);
        return Ok(Done { times: rounds, detail: format!("{rounds} times in and out; not counted, without MongoDB") });
    };
    let (sent, stored) = (after.0 - before.0, after.1.saturating_sub(before.1));
    if others.requires_if(rounds >= ROUNDS_JUDGED) && stored * 2 < sent {
        return Err(format!("{stored} messages were stored while {sent} were accepted").into());
    }
    Ok(Done {
        times: rounds,
        detail: format!("{rounds} times in and out; {sent} accepted and {stored} stored meanwhile"),
    })
}

/// How many messages are accepted and stored so far.
async fn progress(world: &World) -> Result<(usize, usize), String> {
    let count = world.stack.store.collection("messages").estimated_document_count().await;
    let count = count.map_err(|error| error.to_string())?;
    Ok((world.acknowledged(), usize::try_from(count).unwrap_or(usize::MAX)))
}
