//! Kafka's processes and disk.

use std::time::Duration;

use rand::Rng as _;

use super::Context;
use crate::injection::{Done, Trouble};

pub(super) async fn pauses(mut context: Context) -> Result<Done, Trouble> {
    let index = context.draws.random_range(0..context.world.brokers.len());
    context.world.brokers[index].kafka.pause().map_err(|error| error.to_string())?;
    let held = context.hold(4.0, 14.0).await;
    context.world.brokers[index].kafka.resume().map_err(|error| error.to_string())?;
    Ok(Done::once(format!("broker {} paused {held:.1?}", index + 1)))
}

/// With two of three left, messages still arrive.
pub(super) async fn one_killed(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let index = context.draws.random_range(0..world.brokers.len());
    world.brokers[index].kafka.kill().await;
    let (_, id) = world.accepts().await?;
    let began = std::time::Instant::now();
    let arrived = world.reaches(&id, "stored", Duration::from_secs(60)).await;
    let took = began.elapsed();
    context.hold(1.0, 6.0).await;
    world.brokers[index].revive().await.map_err(|error| error.to_string())?;
    arrived?;
    Ok(Done::once(format!("broker {} killed; a message sent then was stored after {took:.1?}", index + 1)))
}

/// With one of three left nothing is acknowledged by Kafka, and nothing may be called published.
pub(super) async fn two_killed(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let kept = context.draws.random_range(0..world.brokers.len());
    for (index, broker) in world.brokers.iter().enumerate() {
        if index != kept {
            broker.kafka.kill().await;
        }
    }
    let (_, id) = world.accepts().await?;
    let held = context.hold(10.0, 60.0).await;
    let state = world.reaches(&id, "accepted", Duration::from_secs(5)).await;
    let revived = futures::future::try_join_all(world.brokers.iter().map(|broker| broker.revive())).await;
    revived.map_err(|error| error.to_string())?;
    state?;
    Ok(Done::once(format!("all but broker {} killed for {held:.1?}", kept + 1)))
}

/// A full disk ends the broker; with space again it goes on where it was.
pub(super) async fn disk_full(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let disk = world.kafka_disk.as_ref().map_err(|why| Trouble::Unavailable(why.clone()))?;
    disk.fill()?;
    let held = context.hold(4.0, 12.0).await;
    disk.clear();
    let broker = &world.brokers[0];
    // It may have noticed only now, and be about to end.
    let ended = tokio::time::timeout(Duration::from_secs(2), broker.kafka.process().ended()).await.is_ok();
    if !ended {
        broker.kafka.kill().await;
    }
    broker.revive().await.map_err(|error| error.to_string())?;
    Ok(Done::once(format!("full for {held:.1?}; the broker {}", if ended { "ended" } else { "was restarted" })))
}
