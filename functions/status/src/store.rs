//! The outbox, to be looked at only.

use std::rc::Rc;
use std::time::Duration;

use wiber_component::{CONDITION_LIMIT, Connections, bounds, condition, report, within};
use wiber_database::spin::Spin;
use wiber_database::{Bounds, Database, Error, Source};
use wiber_handlers::status::{Condition, Held, View};
use wiber_handlers::{Settings, SettingsError};

/// How long the outbox may take to find a message; the bridge is asked afterwards.
const FIND_LIMIT: Duration = Duration::from_millis(600);

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

    async fn with<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Database<Spin>) -> Result<T, Error>,
    ) -> Result<T, String> {
        let attempt = async {
            let database = self.connections.take().await?;
            let value = work(&database).await?;
            // A file without schema gets one from a writer later: such a connection is opened anew each time.
            if !database.outbox_id().is_empty() {
                self.connections.put(database);
            }
            Ok(value)
        };
        within(limit, attempt).await.map_err(|error| {
            report(&error);
            error.public()
        })
    }
}

impl View for Store {
    async fn find(&self, message_id: &str) -> Result<Option<Held>, String> {
        self.with(FIND_LIMIT, async |database| {
            let found = database.find(message_id).await?;
            Ok(found.map(|f| Held {
                json: f.json,
                outbox_id: database.outbox_id().to_owned(),
                position: f.position,
                accepted_at: f.accepted_at,
                published: f.published,
            }))
        })
        .await
    }

    async fn condition(&self) -> Result<Condition, String> {
        self.with(CONDITION_LIMIT, async |database| condition(database, self.bounds).await).await
    }
}
