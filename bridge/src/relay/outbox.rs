//! Everything that is done for one outbox, side by side: draining, settling, the lease, statistics.

use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::drain::Drain;
use super::identity::Identity;
use super::lease::Keeper;
use super::send_again::SendAgain;
use super::settle::Settle;
use super::source::Source;
use super::tenure::Held;
use super::{Error, Parts, chores, statistics};
use crate::store::Gap;

/// Serves one outbox until shutdown. The lease is given up last, when nothing is in flight any more.
pub(super) async fn run(
    parts: Parts,
    source: Source,
    addresses: Addresses,
    gaps: watch::Receiver<Vec<Gap>>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (held_sender, held) = watch::channel(Held::default());
    let (published, send_again, renew) = (Arc::default(), Arc::<SendAgain>::default(), Arc::<Notify>::default());
    let (tell, chores) = mpsc::channel(chores::WAITING_MAX);
    let Parts { inspector, store, board, metrics, lag, limits, .. } = parts;
    let drained = CancellationToken::new();
    let mut beside = JoinSet::new();
    let identity = Identity::new(source.url(), store.clone(), board.clone(), metrics.clone());
    beside.spawn(chores::run(identity, store.clone(), inspector.topic().to_owned(), chores, drained.clone()));
    let keeper = Keeper {
        source: source.clone(),
        held: held_sender,
        renew: Arc::clone(&renew),
        release_limit: limits.release,
        refused: Mutex::default(),
        board: board.clone(),
        metrics: metrics.clone(),
    };
    beside.spawn(keeper.run(drained.clone()));
    beside.spawn(statistics::run(source.clone(), metrics.clone(), addresses, drained.clone()));
    let settle = Settle {
        source: source.clone(),
        store,
        metrics: metrics.clone(),
        held: held.clone(),
        lag,
        published: Arc::clone(&published),
        send_again: Arc::clone(&send_again),
    };
    beside.spawn(settle.run(drained.clone()));
    let drain =
        Drain { source, held, gaps, send_again, renew, published, tell, told: None, inspector, board, metrics, limits };
    let outcome = drain.run(&shutdown).await;
    drained.cancel();
    let mut ended = Ok(());
    while let Some(task) = beside.join_next().await {
        ended = ended.and(task.map_err(Error::from));
    }
    outcome.and(ended)
}
