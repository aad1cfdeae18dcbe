//! The outbox, to be looked at only.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};

use wiber_component::{Connections, bounds, report};
use wiber_database::spin::Spin;
use wiber_database::{Bounds, Database, Error, Source};
use wiber_handlers::status::{Condition, Held, View};
use wiber_handlers::{Settings, SettingsError};

/// How long the outbox may take; the bridge is asked afterwards.
const LIMIT: Duration = Duration::from_millis(600);

thread_local! {
    static CONNECTIONS: Rc<Connections> = Rc::new(Connections::read_only());
}

pub(crate) struct Store {
    connections: Rc<Connections>,
    bounds: Bounds,
}

impl Store {
    pub(crate) fn new(settings: &Result<Settings, SettingsError>) -> Self {
        Self { connections: CONNECTIONS.with(Rc::clone), bounds: bounds(settings) }
    }

    async fn with<T>(&self, work: impl AsyncFnOnce(&Database<Spin>) -> Result<T, Error>) -> Result<T, String> {
        let attempt = async {
            let database = self.connections.take().await?;
            let value = work(&database).await?;
            // A file without schema gets one from a writer later: such a connection is opened anew each time.
            if !database.outbox_id().is_empty() {
                self.connections.put(database);
            }
            Ok(value)
        };
        // A disk that hangs or a writer that holds the lock must not hold up the answer beyond its 3 s.
        let result = match select(pin!(attempt), pin!(spin_sdk::time::sleep(LIMIT))).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(Error::Busy),
        };
        result.map_err(|error: Error| {
            report(&error);
            error.public()
        })
    }
}

impl View for Store {
    async fn find(&self, message_id: &str) -> Result<Option<Held>, String> {
        self.with(async |database| {
            let found = database.find(message_id).await?;
            Ok(found.map(|f| Held {
                json: f.json,
                position: f.position,
                accepted_at: f.accepted_at,
                published: f.published,
            }))
        })
        .await
    }

    async fn condition(&self) -> Result<Condition, String> {
        self.with(async |database| {
            let full = database.depth().await?.is_full(self.bounds);
            Ok(Condition { full, journal: database.journal().to_owned(), note: database.note().map(str::to_owned) })
        })
        .await
    }
}
