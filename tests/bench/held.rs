//! The rate that the whole path holds on this machine: what scenarios on a schedule are measured at.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use wiber_tests::stack::Stack;

use crate::args::Args;
use crate::load::{self, Load, Pace};
use crate::{rig, stored};

/// Clients that send on the schedule.
pub(crate) const CONNECTIONS: usize = 64;
/// Before a rate is watched.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(15);
/// How long the rate that was found is watched once more: MongoDB writes a checkpoint each minute.
const CONFIRMED: Duration = Duration::from_secs(75);
/// How often a rate may be too much then.
const CONFIRMATIONS: u32 = 8;
/// What is tried next where it was.
const LESS: f64 = 0.9;
/// Rates that are tried between one that was held and one that was not.
const STEPS: u32 = 4;
/// Of a rate, what must be accepted and stored a second for it to be held.
const HELD: f64 = 0.97;
/// How long the backlog of a rate that was not held may take.
const DRAINED_LIMIT: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(100);

static FOUND: OnceCell<f64> = OnceCell::const_new();

/// `--path-rate` if that is held for a minute and more, else about the highest rate below it that is. Sought once a run.
///
/// # Errors
/// If a message is not accepted or not stored.
pub(crate) async fn rate(args: &Args) -> anyhow::Result<f64> {
    FOUND.get_or_try_init(|| sought(f64::from(args.path_rate))).await.copied()
}

async fn sought(most: f64) -> anyhow::Result<f64> {
    let stack = rig::plan("held").start().await;
    let stored = tried(&stack, most, WATCHED).await?;
    anyhow::ensure!(stored > 0.0, "nothing at all was stored at {most:.0}/s: try a lower --path-rate");
    let (mut held, mut not_held) = (stored, most);
    if stored >= most * HELD {
        held = most;
    } else {
        for _ in 0..STEPS {
            let rate = (held * not_held).sqrt().round();
            if tried(&stack, rate, WATCHED).await? >= rate * HELD {
                held = rate;
            } else {
                not_held = rate;
            }
        }
    }
    let mut left = CONFIRMATIONS;
    while tried(&stack, held, CONFIRMED).await? < held * HELD {
        held = (held * LESS).round();
        left -= 1;
        anyhow::ensure!(left > 0, "no rate is held for {CONFIRMED:?}, the last one tried was {held:.0}/s");
    }
    stack.stop().await;
    stack.store.database().drop().await?;
    println!("  the whole path holds {held:.0}/s");
    Ok(held.round())
}

/// Offers a rate and returns how much of it was accepted and stored a second, whichever is less.
async fn tried(stack: &Stack, rate: f64, watched: Duration) -> anyhow::Result<f64> {
    let load = Load {
        address: rig::address(stack)?,
        connections: CONNECTIONS,
        pace: Pace::Open(rate),
        warm_up: WARM_UP,
        measured: watched,
        make: rig::sends("/messages"),
    };
    let watch = async {
        tokio::time::sleep(WARM_UP).await;
        let (before, began) = (stored::count(stack).await?, Instant::now());
        tokio::time::sleep(watched).await;
        Ok::<_, anyhow::Error>((stored::count(stack).await? - before) as f64 / began.elapsed().as_secs_f64())
    };
    let (met, stored) = tokio::join!(load::run(&load), watch);
    let (accepted, stored) = (met?.all_well()?.rate(), stored?);
    println!("  {rate:.0}/s offered: {accepted:.0}/s accepted, {stored:.0}/s stored");
    tokio::time::timeout(DRAINED_LIMIT, drained(stack)).await.with_context(|| {
        format!(
            "what lay in the outbox after {rate:.0}/s was not stored within {DRAINED_LIMIT:?}: try a lower --path-rate"
        )
    })?;
    Ok(accepted.min(stored))
}

async fn drained(stack: &Stack) {
    while stack.statistics().await.messages > 0 {
        tokio::time::sleep(LOOK).await;
    }
}
