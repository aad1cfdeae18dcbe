//! The host as a process: killed, starved, ended in order together with all others.

use std::process::Command;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::SliceRandom as _;
use wiber_tests::node::Node;

use super::Context;
use crate::injection::{Done, Trouble};

/// What row 1 allows from the kill to the first 200, and how much more a busy machine may take.
const RESTART: Duration = Duration::from_secs(2);
const BUSY: u32 = 5;
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

pub(super) async fn killed(mut context: Context) -> Result<Done, Trouble> {
    let times = if context.short { 3 } else { 8 };
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(context.draws.random_range(50..900))).await;
        let began = Instant::now();
        context.world.host().kill().await;
        context.world.accepts().await?;
        slowest = slowest.max(began.elapsed());
    }
    if slowest > RESTART * BUSY {
        return Err(format!("the first 200 came {slowest:.1?} after a kill; {RESTART:?} are allowed").into());
    }
    Ok(Done { times, detail: format!("slowest restart to the first 200: {slowest:.2?}") })
}

/// Sixty-four file descriptors, or no more memory, for a while.
pub(super) async fn starved(mut context: Context) -> Result<Done, Trouble> {
    let bridge = context.draws.random_bool(0.5);
    let node = if bridge { context.world.bridge(0) } else { context.world.host() };
    let (name, pid) = (if bridge { "bridge" } else { "host" }, node.pid());
    let files = context.draws.random_bool(0.5);
    if files {
        let usual = open_files(pid)?;
        limit(pid, "nofile", "64:")?;
        let held = context.draws.random_range(2.0..6.0);
        tokio::time::sleep(Duration::from_secs_f64(held)).await;
        // One that has ended needs it no more.
        if let Err(error) = limit(pid, "nofile", &format!("{usual}:"))
            && node.ended().is_none()
            && node.pid() == pid
        {
            return Err(format!("{name} could not get its file descriptors back: {error}").into());
        }
        return Ok(Done::once(format!("{name} with 64 file descriptors for {held:.1} s")));
    }
    // Below what it has: the next request for memory fails.
    limit(pid, "as", &format!("{}:", address_space(pid).saturating_sub(1 << 20)))?;
    let held = context.draws.random_range(2.0..6.0);
    tokio::time::sleep(Duration::from_secs_f64(held)).await;
    let _ = limit(pid, "as", "unlimited:");
    Ok(Done::once(format!("{name} without more memory for {held:.1} s")))
}

/// How many files a process may have open.
fn open_files(pid: u32) -> Result<String, String> {
    let path = format!("/proc/{pid}/limits");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.map(str::to_owned).ok_or_else(|| format!("{path} names no limit of open files"))
}

/// Bytes.
fn address_space(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    text.split_whitespace().next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(1 << 40) * 4096
}

fn limit(pid: u32, what: &str, value: &str) -> Result<(), String> {
    let output = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--{what}={value}")]).output();
    let output = output.map_err(|error| format!("prlimit: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Every process in a random order; host and bridges must end well, and nothing in flight may be lost.
pub(super) async fn terminated(mut context: Context) -> Result<Done, Trouble> {
    let mut order = vec!["host", "bridge 0", "bridge 1", "Kafka", "MongoDB"];
    order.shuffle(&mut context.draws);
    let mut times = Vec::new();
    for name in &order {
        match *name {
            "host" => times.push(ended_well(&context, "host", context.world.host()).await?),
            "bridge 0" => times.push(ended_well(&context, name, context.world.bridge(0)).await?),
            "bridge 1" => times.push(ended_well(&context, name, context.world.bridge(1)).await?),
            "Kafka" => {
                futures::future::join_all(context.world.brokers.iter().map(|broker| broker.kafka.stop())).await;
            }
            _ => {
                futures::future::join_all(context.world.members.iter().map(|member| member.mongo.stop())).await;
            }
        }
    }
    order.shuffle(&mut context.draws);
    let world = &context.world;
    let starts = async {
        futures::future::try_join_all(world.brokers.iter().map(|b| b.revive())).await?;
        futures::future::try_join_all(world.members.iter().map(|m| m.revive())).await
    };
    if context.draws.random_bool(0.5) {
        release_all(&context);
        starts.await.map_err(|error| error.to_string())?;
    } else {
        starts.await.map_err(|error| error.to_string())?;
        release_all(&context);
    }
    let slowest = times.into_iter().max().unwrap_or_default();
    Ok(Done { times: 5, detail: format!("order {}; slowest end of ours {slowest:.1?}", order.join(", ")) })
}

fn release_all(context: &Context) {
    context.world.release(context.world.host());
    context.world.working_bridges().for_each(|bridge| context.world.release(bridge));
}

async fn ended_well(context: &Context, name: &str, node: &Node) -> Result<Duration, String> {
    context.world.hold(node);
    if node.ended().is_some() {
        return Ok(Duration::ZERO);
    }
    let began = Instant::now();
    // Beyond the deadline by what a busy machine needs to end a process.
    let status = node.terminate(SHUTDOWN_MAX + Duration::from_secs(5)).await;
    let took = began.elapsed();
    if !status.success() {
        return Err(format!("{name} ended with {status} after SIGTERM:\n{}", node.log_tail()));
    }
    Ok(took)
}
