//! The machine: what its processors do before a run, and what a process uses.

use std::fs;
use std::time::{Duration, Instant};

/// How long the processors are watched before a run.
const WATCHED: Duration = Duration::from_millis(500);
/// The idle share from which they rest, and how long that is waited for.
const RESTING: f64 = 0.9;
const REST_MAX: Duration = Duration::from_secs(60);
/// Ticks a second of the times in /proc, on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// The share of the processors that is idle, 0 to 1, watched for half a second.
pub(crate) async fn idle_share() -> f64 {
    let before = processors();
    tokio::time::sleep(WATCHED).await;
    let after = processors();
    let (idle, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    if all == 0 { f64::NAN } else { idle as f64 / all as f64 }
}

/// Waits until the processors rest, at most for a minute.
pub(crate) async fn rests() {
    let limit = Instant::now() + REST_MAX;
    while idle_share().await < RESTING && Instant::now() < limit {}
}

/// Ticks idle and in all, since the machine started.
fn processors() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (idle, ticks.iter().sum())
}

/// Seconds of processor time that a process has used.
///
/// # Errors
/// If there is no such process.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold blanks.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |index: usize| rest.split_whitespace().nth(index).and_then(|word| word.parse::<f64>().ok());
    // utime and stime are fields 14 and 15 (proc(5)); the rest begins with field 3.
    Ok((field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / TICKS)
}

/// Resident memory of a process, megabytes of 10⁶ bytes.
///
/// # Errors
/// If there is no such process.
pub(crate) fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.unwrap_or(0.0) * 1024.0 / 1e6)
}
