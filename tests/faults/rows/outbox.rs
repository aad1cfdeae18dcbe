//! The outbox's disk: full, slow, failing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use wiber_tests::client::Client;
use wiber_tests::names;

use super::Context;
use crate::injection::{Done, Trouble};
use crate::tracer::Tracer;

/// Nothing is taken that cannot be kept, and all goes on without a restart once there is space.
pub(super) async fn disk_full(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let disk = world.outbox_disk.as_ref().map_err(|why| Trouble::Unavailable(why.clone()))?;
    let pid = world.host().pid();
    disk.fill()?;
    let held = context.hold(2.0, 8.0).await;
    disk.clear();
    world.accepts().await?;
    if world.host().pid() != pid {
        return Err(format!("the host did not live through a full disk:\n{}", world.host().log_tail()).into());
    }
    Ok(Done::once(format!("full for {held:.1?}")))
}

pub(super) async fn fsync(mut context: Context) -> Result<Done, Trouble> {
    if context.draws.random_bool(0.5) { late(context).await } else { failing(context).await }
}

/// No answer comes sooner than an fsync takes that began after the message was sent.
async fn late(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let delay_ms: u64 = if context.draws.random_bool(0.8) { 200 } else { 2_000 };
    let log = world.folder().join("strace.log");
    let tracer = Tracer::attach(world.host().pid(), &format!("delay_exit={}", delay_ms * 1000), &log).await?;
    let (began, held) = (Instant::now(), context.seconds(3.0, 8.0));
    let mut soonest = None;
    while began.elapsed() < held {
        let sent = Instant::now();
        if is_taken(&world.stack.client).await {
            soonest = soonest.min(Some(sent.elapsed())).or(Some(sent.elapsed()));
        }
    }
    drop(tracer);
    if let Some(soonest) = soonest.filter(|soonest| soonest.as_millis() < u128::from(delay_ms)) {
        return Err(format!("a message got its 200 before its fsync: after {soonest:.1?}, of {delay_ms} ms").into());
    }
    Ok(Done::once(format!("fsync {delay_ms} ms later for {held:.1?}")))
}

/// After the first fsync that failed, a 200 from the same process would acknowledge what is not on disk.
async fn failing(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let (pid, log) = (world.host().pid(), world.folder().join("strace.log"));
    let nth = context.draws.random_range(1..6);
    let tracer = Tracer::attach(pid, &format!("error=EIO:when={nth}+"), &log).await?;
    let client = world.stack.client.clone();
    let began = Instant::now();
    let mut answers = Vec::new();
    // Until the process has ended by itself, which it must.
    while world.host().pid() == pid && world.host().ended().is_none() && began.elapsed() < Duration::from_secs(20) {
        let started = unix_seconds();
        if is_taken(&client).await && world.host().pid() == pid {
            answers.push(started);
        }
    }
    let (ended, failed) = (world.host().pid() != pid || world.host().ended().is_some(), tracer.first_failure());
    drop(tracer);
    let Some(failed) = failed else { return Err("no fsync was made to fail".into()) };
    if let Some(late) = answers.iter().find(|started| **started > failed) {
        return Err(format!("a message sent {:.3} s after the first failed fsync got a 200", late - failed).into());
    }
    if !ended {
        world.host().kill().await;
        return Err("the host lived on for 20 s though fsync failed".into());
    }
    Ok(Done::once(format!("EIO from the {nth}. fsync on; the host ended and was started again")))
}

async fn is_taken(client: &Client) -> bool {
    let (from, to) = names::pair();
    client.sending(&from, &to, "is it on disk?").attempt().await.is_ok_and(|answer| answer.status == 200)
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
