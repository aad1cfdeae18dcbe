//! Writes of several partitions in one command.
//!
//! Under load each partition has few documents at a time, and what a command costs MongoDB and its client is then more
//! than the documents themselves. So a write that meets another one joins those that wait with it, and all of them go as
//! one when that ends. A lone write waits for nobody, a large one gains nothing, and one that has waited for
//! [`PATIENCE`] goes by itself, so that a partition is never held up by another one's trouble.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::write::STORING;
use super::{Doubt, Error, MessageDocument, Outcome, Store};

/// Documents of one write that is worth a command of its own.
const LARGE: usize = 250;
/// Bytes of content of such a write, and after which a command takes no further one.
const LARGE_BYTES: usize = 1024 * 1024;
/// Documents after which a command takes no further write.
const DOCUMENTS_MAX: usize = 1_000;
/// How long a write waits for others to end. Well above what a command takes beside a busy server, well below what
/// anybody would notice of a partition.
const PATIENCE: Duration = Duration::from_millis(100);

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Together {
    waiting: Mutex<Vec<Waiting>>,
    turn: Semaphore,
}

#[derive(Debug)]
struct Waiting {
    documents: Arc<[MessageDocument]>,
    answer: oneshot::Sender<Outcome>,
}

impl Waiting {
    fn is(&self, documents: &Arc<[MessageDocument]>) -> bool {
        Arc::ptr_eq(&self.documents, documents)
    }
}

impl Together {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), turn: Semaphore::new(1) }
    }

    fn join(&self, documents: &Arc<[MessageDocument]>) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.lock().push(Waiting { documents: Arc::clone(documents), answer });
        answered
    }

    /// Takes a write out of those that wait; whether it was among them.
    fn leave(&self, documents: &Arc<[MessageDocument]>) -> bool {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|other| !other.is(documents));
        waiting.len() < before
    }

    /// Takes as many others as one command holds beside these documents, the first ones first.
    fn take_beside(&self, documents: &[MessageDocument]) -> Vec<Waiting> {
        let (mut count, mut bytes) = (documents.len(), content_bytes(documents));
        let mut waiting = self.lock();
        // A partition that was given up must not be written for any more.
        waiting.retain(|other| !other.answer.is_closed());
        let fitting = waiting.iter().take_while(|other| {
            count += other.documents.len();
            bytes += content_bytes(&other.documents);
            count <= DOCUMENTS_MAX && bytes <= LARGE_BYTES
        });
        let fitting = fitting.count();
        waiting.drain(..fitting).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn content_bytes(documents: &[MessageDocument]) -> usize {
    documents.iter().map(|document| document.content.len()).sum()
}

impl Store {
    /// Inserts the documents as [`Store::insert`] does, in one command with those of other callers that wait at the same
    /// time. If that command fails, each of them is told so, and any prefix of each may be stored; whoever tries again
    /// should do it alone.
    pub async fn insert_together(&self, documents: &Arc<[MessageDocument]>) -> Outcome {
        if documents.len() >= LARGE || content_bytes(documents) >= LARGE_BYTES {
            return self.insert(documents).await;
        }
        let together = &*self.together;
        let mut answered = together.join(documents);
        let turn = tokio::select! {
            biased;
            outcome = &mut answered => return outcome.unwrap_or_else(|_| abandoned()),
            turn = together.turn.acquire() => turn.ok(),
            () = tokio::time::sleep(PATIENCE) => None,
        };
        if !together.leave(documents) {
            // Another took it along.
            drop(turn);
            return answered.await.unwrap_or_else(|_| abandoned());
        }
        if turn.is_none() {
            return self.insert(documents).await;
        }
        let others = together.take_beside(documents);
        let all = others.iter().flat_map(|other| other.documents.iter());
        let outcome = self.insert_all(documents.iter().chain(all)).await;
        for other in others {
            // Nobody waits any more for what a process that ends had begun.
            let _ = other.answer.send(outcome.clone());
        }
        outcome
    }
}

fn abandoned() -> Outcome {
    Outcome::Doubtful(Doubt::Unknown, Error::Abandoned { step: STORING })
}
