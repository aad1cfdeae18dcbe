//! Kafka's processes and disk.

use std::time::{Duration, Instant};

use rand::Rng as _;

use super::sending::hold_sending;
use super::{Context, Part, SLACK};
use crate::injection::{Done, Trouble};

/// Within this time messages are published again once a paused broker is awake.
const PUBLISHED_AGAIN: Duration = Duration::from_secs(12);
/// Within this time messages arrive though one of three brokers is gone.
const CAUGHT_UP: Duration = Duration::from_secs(30);

/// Accepting goes on, and publishing soon after.
pub(super) async fn pauses(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let index = context.draws.random_range(0..world.brokers.len());
    world.brokers[index].kafka.pause().map_err(|error| error.to_string())?;
    let sent = hold_sending(&mut context, 4.0, 14.0).await;
    world.brokers[index].kafka.resume().map_err(|error| error.to_string())?;
    let (held, slowest) = sent?;
    let (others, began) = (context.calm(&[Part::Host, Part::Bridge]), Instant::now());
    let (_, id) = world.accepts().await?;
    let published = world.passes(&id, PUBLISHED_AGAIN * SLACK).await;
    let took = began.elapsed();
    if others.requires() {
        published?;
    }
    let broker = index + 1;
    Ok(Done::once(format!(
        "broker {broker} paused {held:.1?}, slowest accept {slowest:.1?}; published again after {took:.1?}"
    )))
}

/// With two of three left, messages still arrive.
pub(super) async fn one_killed(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let index = context.draws.random_range(0..world.brokers.len());
    world.brokers[index].kafka.kill().await;
    let (_, id) = world.accepts().await?;
    let began = Instant::now();
    let arrived = world.reaches(&id, "stored", CAUGHT_UP * SLACK).await;
    let took = began.elapsed();
    let sent = hold_sending(&mut context, 1.0, 6.0).await;
    world.brokers[index].revive().await.map_err(|error| error.to_string())?;
    arrived?;
    let (broker, (_, slowest)) = (index + 1, sent?);
    Ok(Done::once(format!(
        "broker {broker} killed; a message sent then was stored after {took:.1?}; slowest accept {slowest:.1?}"
    )))
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
    let sent = hold_sending(&mut context, 10.0, 60.0).await;
    let state = world.reaches(&id, "accepted", Duration::from_secs(5)).await;
    let revived = futures::future::try_join_all(world.brokers.iter().map(|broker| broker.revive())).await;
    revived.map_err(|error| error.to_string())?;
    state?;
    let (kept, (held, slowest)) = (kept + 1, sent?);
    Ok(Done::once(format!("all but broker {kept} killed for {held:.1?}; slowest accept {slowest:.1?}")))
}

/// A full disk ends the broker; with space again it goes on where it was.
pub(super) async fn disk_full(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let disk = world.kafka_disk.as_ref().map_err(|why| Trouble::Unavailable(why.clone()))?;
    disk.fill()?;
    let sent = hold_sending(&mut context, 4.0, 12.0).await;
    disk.clear();
    let (held, slowest) = sent?;
    let broker = &world.brokers[0];
    // It may have noticed only now, and be about to end.
    let ended = tokio::time::timeout(Duration::from_secs(2), broker.kafka.process().ended()).await.is_ok();
    if !ended {
        broker.kafka.kill().await;
    }
    broker.revive().await.map_err(|error| error.to_string())?;
    let end = if ended { "ended" } else { "was restarted" };
    Ok(Done::once(format!("full for {held:.1?}, slowest accept {slowest:.1?}; the broker {end}")))
}
