//! What the relay tells MongoDB: which outbox it drains, and which gaps it has filled. Done beside the draining, which
//! never waits long for MongoDB.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::identity::Identity;
use crate::backoff::Backoff;
use crate::report::Chain;
use crate::store::{Error, Gap, Resent, Store, Topic};

/// Most chores waiting for MongoDB; the relay waits with the next.
pub(super) const WAITING_MAX: usize = 64;

/// One thing to tell.
#[derive(Debug)]
pub(super) enum Chore {
    /// The lease is held of an outbox with this id.
    Compare { outbox_id: String, done: oneshot::Sender<()> },
    /// The topic that rows are sent to, unless one is recorded already: that it was made anew is known only by what was
    /// recorded before, and consumers may begin later.
    Topic(Topic),
    /// All unsettled rows were sent again for a gap.
    Resent { gap: Box<Gap>, resent: Resent },
}

/// Does chores in order, each until it succeeds, until `stop`.
pub(super) async fn run(
    mut identity: Identity,
    store: Store,
    topic: String,
    mut chores: mpsc::Receiver<Chore>,
    stop: CancellationToken,
) {
    while let Some(Some(chore)) = stop.run_until_cancelled(chores.recv()).await {
        let mut backoff = Backoff::for_servers();
        while let Err(error) = attempt(&mut identity, &store, &topic, &chore).await {
            tracing::debug!(error = %Chain(&error), "MongoDB is not told yet");
            if !backoff.wait(&stop).await {
                return;
            }
        }
        if let Chore::Compare { done, .. } = chore {
            // The draining may have gone on without waiting.
            let _ = done.send(());
        }
    }
}

async fn attempt(identity: &mut Identity, store: &Store, name: &str, chore: &Chore) -> Result<(), Error> {
    match chore {
        Chore::Compare { outbox_id, .. } => identity.compare(outbox_id).await,
        Chore::Topic(topic) => match store.topic(name).await? {
            Some(_) => Ok(()),
            None => store.set_topic(name, topic).await,
        },
        Chore::Resent { gap, resent } => store.mark_resent(gap, resent).await,
    }
}
