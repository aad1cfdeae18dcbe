//! Watching a count grow: how fast, from when to when.

use std::time::{Duration, Instant};

use anyhow::bail;
use wiber_tests::stack::Stack;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long nothing may be added before it is called not moving.
const STANDSTILL: Duration = Duration::from_secs(120);
/// The part of the whole that is not counted at either end, since something starts or ends there.
const EDGE: u64 = 10;

/// How many messages are stored, by the collection's own count.
///
/// # Errors
/// If MongoDB does not answer.
pub(crate) async fn count(stack: &Stack) -> anyhow::Result<u64> {
    Ok(stack.store.collection("messages").estimated_document_count().await?)
}

/// Waits until `all` are counted and returns how many were added a second between the first tenth and the last.
///
/// # Errors
/// If the count stands still, or cannot be had.
pub(crate) async fn rate(all: u64, count: impl AsyncFn() -> anyhow::Result<u64>) -> anyhow::Result<f64> {
    let (mut first, mut last) = (None, None);
    watch(all, count, |now, at| {
        if now >= all / EDGE && first.is_none() {
            first = Some((now, at));
        }
        if now >= all - all / EDGE && last.is_none() {
            last = Some((now, at));
        }
    })
    .await?;
    match (first, last) {
        (Some((from, began)), Some((to, ended))) if ended > began => {
            Ok((to - from) as f64 / (ended - began).as_secs_f64())
        }
        _ => bail!("{all} messages are too few to be measured: give more of them by --messages"),
    }
}

/// Waits until `all` are counted, however many there are to begin with.
///
/// # Errors
/// As [`rate`].
pub(crate) async fn all(all: u64, count: impl AsyncFn() -> anyhow::Result<u64>) -> anyhow::Result<()> {
    watch(all, count, |_, _| ()).await
}

async fn watch(
    all: u64,
    count: impl AsyncFn() -> anyhow::Result<u64>,
    mut look: impl FnMut(u64, Instant),
) -> anyhow::Result<()> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let (now, at) = (count().await?, Instant::now());
        if now > seen {
            (seen, moved) = (now, at);
        }
        look(now, at);
        if now >= all {
            return Ok(());
        }
        if moved.elapsed() > STANDSTILL {
            bail!("{seen} of {all}, and nothing for {STANDSTILL:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}
