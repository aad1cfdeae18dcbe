//! The outbox as the send handler needs it, on the instance's connections and its one group commit.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wiber_component::{CONDITION_LIMIT, Connections, System, bounds, condition, report, within};
use wiber_database::spin::StreamBell;
use wiber_database::{Batch, Bounds, Committer, Earlier, Entry, Error, Key, Source};
use wiber_handlers::send::{Accepted, Form, Outbox, OutboxError, Submission};
use wiber_handlers::status::Condition;
use wiber_handlers::{Entropy, Settings, SettingsError};
use wiber_model::Message;

/// How often old idempotency keys are looked for, in milliseconds.
const EXPIRE_EVERY_MS: i64 = 30_000;
/// How long the outcome of a write says whether the next would work.
const WRITE_COUNTS: Duration = Duration::from_secs(1);

/// How long what was found is told to others.
const FOUND_COUNTS: Duration = Duration::from_millis(200);
/// How often those that wait for the one that looks see whether it has found something.
const FOUND_POLL: Duration = Duration::from_millis(10);

/// What outlives a request: connections and the commit that requests share.
struct Shared {
    connections: Rc<Connections>,
    committer: Rc<Committer<StreamBell>>,
    expired_at_ms: Cell<i64>,
    /// The last write, of a message or of a probe, and why it failed if it did.
    last_write: RefCell<Option<(Instant, Option<Error>)>>,
    /// What was last found for those who ask whether the outbox accepts.
    found: RefCell<Option<(Instant, Result<Condition, String>)>>,
    /// One looks for all that ask meanwhile.
    looking: Cell<bool>,
}

thread_local! {
    static SHARED: Rc<Shared> = Rc::new(Shared {
        connections: Rc::new(Connections::accepting()),
        committer: Rc::default(),
        expired_at_ms: Cell::new(0),
        last_write: RefCell::default(),
        found: RefCell::default(),
        looking: Cell::new(false),
    });
}

/// The one that looks; given up also where its request is dropped.
struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

pub(crate) struct Store {
    shared: Rc<Shared>,
    bounds: Bounds,
}

impl Store {
    pub(crate) fn new(settings: &Result<Settings, SettingsError>) -> Self {
        Self { shared: SHARED.with(Rc::clone), bounds: bounds(settings) }
    }

    /// What the request that used this key first was answered.
    async fn earlier(&self, key: &Key, extent: (usize, usize)) -> Result<Option<Accepted>, Error> {
        let database = self.shared.connections.take().await?;
        let earlier = database.earlier(key, extent).await?;
        // Whoever wrote it may have been killed, or have failed, before its last fsync.
        if matches!(earlier, Some(Earlier::Messages(_))) {
            database.make_found_durable().await?;
        }
        self.shared.connections.put(database);
        Ok(match earlier {
            None => None,
            Some(Earlier::Other) => Some(Accepted::Other),
            Some(Earlier::Messages(messages)) => {
                let messages: Result<Vec<Message>, _> =
                    messages.iter().map(|json| serde_json::from_str(json)).collect();
                Some(Accepted::Earlier(messages.map_err(|error| Error::Damaged(error.to_string()))?))
            }
        })
    }

    fn remember<T>(&self, write: &Result<T, Error>) {
        *self.shared.last_write.borrow_mut() = Some((Instant::now(), write.as_ref().err().cloned()));
    }

    /// Whether a write works, by the last one if it was of just now, else by a probe.
    async fn write_works(&self) -> Result<(), Error> {
        let last = self.shared.last_write.borrow().clone();
        match last.filter(|(at, _)| at.elapsed() < WRITE_COUNTS) {
            Some((_, failure)) => failure.map_or(Ok(()), Err),
            None => {
                let probed = self.probe().await;
                self.remember(&probed);
                probed
            }
        }
    }

    async fn look(&self) -> Result<Condition, String> {
        let look = async {
            self.write_works().await?;
            let database = self.shared.connections.take().await?;
            let condition = condition(&database, self.bounds).await?;
            self.shared.connections.put(database);
            Ok(condition)
        };
        let hangs = Cell::new(true);
        let look = async {
            let looked = look.await;
            hangs.set(false);
            looked
        };
        within(CONDITION_LIMIT, look).await.map_err(|error| {
            report(&error);
            let text = error.public();
            // A write that hangs has failed for whoever asks next; any other was remembered when it ended.
            if hangs.get() {
                self.remember::<()>(&Err(error));
            }
            text
        })
    }

    async fn probe(&self) -> Result<(), Error> {
        let database = self.shared.connections.take().await?;
        database.probe().await?;
        self.shared.connections.put(database);
        Ok(())
    }

    /// Frees old keys now and then, so that an outbox that no bridge drains does not fill up with them.
    async fn expire_keys(&self) -> Result<(), Error> {
        let now = System.now_ms();
        let last = self.shared.expired_at_ms.replace(now);
        if (now - last).abs() < EXPIRE_EVERY_MS {
            self.shared.expired_at_ms.set(last);
            return Ok(());
        }
        let database = self.shared.connections.take().await?;
        database.expire_keys(now).await?;
        self.shared.connections.put(database);
        Ok(())
    }
}

/// What the outbox is given.
fn batch(submission: Submission) -> Result<Batch, serde_json::Error> {
    let Submission { messages, form, key, request_id, traceparent } = submission;
    let form = match form {
        Form::Single => wiber_database::Form::Single,
        Form::Batch => wiber_database::Form::Array,
    };
    let sender = messages.first().map(|message| message.from_user.clone()).unwrap_or_default();
    let key = key.map(|key| Key { user: sender, key, form });
    let entries: Result<Vec<Entry>, _> = messages.iter().map(Entry::new).collect();
    Ok(Batch { entries: entries?, key, request_id, traceparent })
}

/// What a sender may know of an error: whether it is certain that nothing was written.
fn failure(error: &Error) -> OutboxError {
    report(error);
    if error.nothing_written() { OutboxError::Refused(error.public()) } else { OutboxError::Unknown }
}

impl Outbox for Store {
    async fn accept(&self, submission: Submission) -> Result<Accepted, OutboxError> {
        if let Err(error) = self.expire_keys().await {
            report(&error);
        }
        let batch = batch(submission).map_err(|e| OutboxError::Refused(e.to_string()))?;
        let (key, extent) = (batch.key.clone(), batch.extent());
        let earlier = async || match &key {
            Some(key) => self.earlier(key, extent).await,
            None => Ok(None),
        };
        let committed = self.shared.committer.commit(&self.shared.connections, batch, self.bounds).await;
        // Where a bound or a key left the batch out, nothing was written.
        if committed != Ok(false) {
            self.remember(&committed);
        }
        match committed {
            Ok(true) => Ok(Accepted::New),
            // Only now, since a look-up before it would cost every send a turn at a connection of its own.
            Ok(false) => Ok(earlier().await.map_err(|error| failure(&error))?.unwrap_or(Accepted::Full)),
            // A disk that takes nothing new may still answer for what it took.
            Err(error) if error.nothing_written() => match earlier().await {
                Ok(Some(earlier)) => Ok(earlier),
                Err(unknown @ Error::Unknown(_)) => Err(failure(&unknown)),
                Ok(None) | Err(_) => Err(failure(&error)),
            },
            Err(error) => Err(failure(&error)),
        }
    }

    /// One looks and the others wait for what it finds: anyone may ask, and each asking by itself would take the
    /// connections that sends need.
    async fn condition(&self) -> Result<Condition, String> {
        loop {
            let found = self.shared.found.borrow().clone();
            if let Some((_, condition)) = found.filter(|(at, _)| at.elapsed() < FOUND_COUNTS) {
                return condition;
            }
            if !self.shared.looking.replace(true) {
                let turn = Turn(&self.shared.looking);
                let condition = self.look().await;
                *self.shared.found.borrow_mut() = Some((Instant::now(), condition.clone()));
                drop(turn);
                return condition;
            }
            spin_sdk::time::sleep(FOUND_POLL).await;
        }
    }
}
