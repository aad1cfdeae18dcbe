//! Writes of several partitions in one command.
//!
//! Under load each partition has few documents at a time, and what a command costs MongoDB and its client is then more
//! than the documents themselves. So a write that meets another one joins those that wait with it, and all of them go as
//! one when that ends. A lone write waits for nobody, and a large one gains nothing.
//!
//! Nobody is held up by another's trouble for long: a write that has waited for [`PATIENCE`] goes by itself, a command
//! that hangs takes nobody's turn for longer than that and its own writes with it for [`LIMIT`], and where one document
//! fails, those behind it are written alone at once.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mongodb::error::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::write::{STORING, carry_out};
use super::{Doubt, Error, MessageDocument, Outcome, Store};

/// Documents of one write that is worth a command of its own.
const LARGE: usize = 250;
/// Bytes of text of such a write, and after which a command takes no further one.
const LARGE_BYTES: usize = 1024 * 1024;
/// Documents after which a command takes no further write. MongoDB and its driver take as many in one piece.
const DOCUMENTS_MAX: usize = 1_000;
/// How long a write waits for a command before it to end: longer than a busy server takes, and short beside what else a
/// partition may have to wait for.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a command of several writes may take. Each of them is read back then and tried alone, with all its time.
const LIMIT: Duration = Duration::from_secs(1);

/// What a write is told by the command that took it along.
#[derive(Debug)]
enum Answer {
    Ended(Outcome),
    /// Nothing of it was written, for a reason that lies in another one.
    Alone,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    documents: Arc<[MessageDocument]>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug, Default)]
struct Queue {
    tickets: u64,
    waiting: Vec<Waiting>,
}

/// What waits for its turn.
#[derive(Debug)]
pub(super) struct Together {
    queue: Mutex<Queue>,
    turn: Arc<Semaphore>,
}

impl Together {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    fn join(&self, documents: &Arc<[MessageDocument]>) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.lock();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push(Waiting { ticket, documents: Arc::clone(documents), answer });
        (ticket, answered)
    }

    /// Takes a write out of those that wait, unless another has taken it along.
    fn leave(&self, ticket: u64) -> Option<Waiting> {
        let waiting = &mut self.lock().waiting;
        let at = waiting.iter().position(|one| one.ticket == ticket)?;
        Some(waiting.remove(at))
    }

    /// Takes as many others as one command holds beside these documents, the first ones first.
    fn take_beside(&self, documents: &[MessageDocument]) -> Vec<Waiting> {
        let (mut count, mut bytes) = (documents.len(), text_bytes(documents));
        let waiting = &mut self.lock().waiting;
        // Nobody waits for them any more: their partitions were given up.
        waiting.retain(|one| !one.answer.is_closed());
        let fitting = waiting.iter().take_while(|one| {
            count += one.documents.len();
            bytes += text_bytes(&one.documents);
            count <= DOCUMENTS_MAX && bytes <= LARGE_BYTES
        });
        let fitting = fitting.count();
        waiting.drain(..fitting).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_bytes(documents: &[MessageDocument]) -> usize {
    documents.iter().map(MessageDocument::text_bytes).sum()
}

impl Store {
    /// Inserts the documents as [`Store::insert`] does, perhaps in one command with those of other callers that wait at
    /// the same time. If that fails, any prefix of them may be stored, as ever; whoever tries again should do it alone.
    pub async fn insert_together(&self, documents: &Arc<[MessageDocument]>) -> Outcome {
        if documents.len() >= LARGE || text_bytes(documents) >= LARGE_BYTES {
            return self.insert(documents).await;
        }
        let (ticket, mut answered) = self.together.join(documents);
        let turn = tokio::select! {
            biased;
            answer = &mut answered => return self.after(answer, documents).await,
            turn = Arc::clone(&self.together.turn).acquire_owned() => turn.ok(),
            () = tokio::time::sleep(PATIENCE) => None,
        };
        match (self.together.leave(ticket), turn) {
            (Some(own), Some(turn)) => self.lead(own, turn),
            (Some(_), None) => return self.insert(documents).await,
            // Another has taken it along.
            (None, turn) => drop(turn),
        }
        self.after(answered.await, documents).await
    }

    async fn after(&self, answer: Result<Answer, oneshot::error::RecvError>, documents: &[MessageDocument]) -> Outcome {
        match answer {
            Ok(Answer::Ended(outcome)) => outcome,
            Ok(Answer::Alone) => self.insert(documents).await,
            Err(_) => Outcome::Doubtful(Doubt::Unknown, Error::Abandoned { step: STORING }),
        }
    }

    /// Writes one and whatever waits beside it, and answers each. On a task of its own, since the partition that leads
    /// may be given up meanwhile.
    fn lead(&self, own: Waiting, turn: OwnedSemaphorePermit) {
        let store = self.clone();
        let mut writes = vec![own];
        writes.extend(self.together.take_beside(&writes[0].documents));
        tokio::spawn(async move {
            let limit = if writes.len() > 1 { LIMIT.min(store.write_limit) } else { store.write_limit };
            let documents = writes.iter().flat_map(|write| write.documents.iter());
            let mut command = Box::pin(carry_out(store.messages.insert_many(documents), limit));
            let early = tokio::time::timeout(PATIENCE, &mut command).await;
            drop(turn);
            let outcome = match early {
                Ok(outcome) => outcome,
                Err(_) => command.await,
            };
            let failed = failed_at(&outcome);
            let mut begin = 0;
            for write in writes {
                let end = begin + write.documents.len();
                // Err: its partition was given up.
                let _ = write.answer.send(told(&outcome, failed, begin..end));
                begin = end;
            }
        });
    }
}

/// The first document that failed by itself, if the outcome is that of one.
fn failed_at(outcome: &Outcome) -> Option<usize> {
    let Outcome::Doubtful(_, Error::Failed { source, .. }) = outcome else { return None };
    match source.kind.as_ref() {
        ErrorKind::InsertMany(failure) if failure.write_concern_error.is_none() => {
            failure.write_errors.iter().flatten().map(|error| error.index).min()
        }
        _ => None,
    }
}

/// What the write of these documents is told.
fn told(outcome: &Outcome, failed: Option<usize>, documents: Range<usize>) -> Answer {
    match (outcome, failed) {
        // An ordered insert ends where one fails.
        (Outcome::Doubtful(..), Some(failed)) if failed < documents.start => Answer::Alone,
        // Stored, most likely; that it is on a majority is for the read back to tell.
        (Outcome::Doubtful(_, error), Some(failed)) if failed >= documents.end => {
            Answer::Ended(Outcome::Doubtful(Doubt::Unknown, error.clone()))
        }
        _ => Answer::Ended(outcome.clone()),
    }
}
