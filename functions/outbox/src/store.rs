//! The outbox as the bridge's routes need it, on the instance's connections.

use std::rc::Rc;

use wiber_component::{Connections, System, bounds, report};
use wiber_database::spin::Spin;
use wiber_database::{Bounds, Database, Error, Lease, Source};
use wiber_handlers::outbox::{Drain, DrainError};
use wiber_handlers::{Entropy, Settings, SettingsError};
use wiber_model::outbox::{
    Changed, LeaseAnswer, LeaseRequest, PublishedRequest, ReadAnswer, ReadRequest, ReleaseRequest, Row, RowsAnswer,
    RowsRequest, SettleRequest, Statistics, UnsettledAnswer, UnsettledRequest, WAIT_MS_BUSY, Which,
};

/// How often a waiting read looks for a commit that nobody tells it of, in microseconds: one that waits shortly, as the
/// bridge does while messages come, and one that waits for long. The embedded host tells of its own commits.
const LOOK_BUSY_MICROS: u64 = 1_000;
const LOOK_IDLE_MICROS: u64 = 28_000;

thread_local! {
    static CONNECTIONS: Rc<Connections> = Rc::new(Connections::draining());
}

pub(crate) struct Store {
    connections: Rc<Connections>,
    bounds: Bounds,
}

impl Store {
    pub(crate) fn new(settings: &Result<Settings, SettingsError>) -> Self {
        Self { connections: CONNECTIONS.with(Rc::clone), bounds: bounds(settings) }
    }

    /// Runs `work` on a connection of its own; one that failed with an unknown outcome is dropped.
    async fn with<T>(&self, work: impl AsyncFnOnce(&Database<Spin>) -> Result<T, Error>) -> Result<T, DrainError> {
        let result = match self.connections.take().await {
            Ok(database) => {
                let result = work(&database).await;
                if result.as_ref().err().is_none_or(Error::nothing_written) {
                    self.connections.put(database);
                }
                result
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| {
            report(&error);
            DrainError(error.public())
        })
    }
}

/// Rows above `request.after`, waiting for the first through short queries.
async fn wait_for_rows(database: &Database<Spin>, request: &ReadRequest) -> Result<Vec<Row>, Error> {
    let deadline = database.monotonic_ms() + u64::from(request.wait_ms);
    let look_us = if request.wait_ms <= WAIT_MS_BUSY { LOOK_BUSY_MICROS } else { LOOK_IDLE_MICROS };
    let mut seen = database.data_version().await?;
    loop {
        let rows = database.read(request.which, request.after, request.limit).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        loop {
            let left_ms = deadline.saturating_sub(database.monotonic_ms());
            if left_ms == 0 {
                return Ok(Vec::new());
            }
            let version = database.next_data_version(seen, left_ms, look_us).await?;
            if version != seen {
                seen = version;
                break;
            }
        }
    }
}

impl Drain for Store {
    async fn lease(&self, request: LeaseRequest) -> Result<Option<LeaseAnswer>, DrainError> {
        self.with(async |database| {
            let now_ms = System.now_ms();
            database.expire_keys(now_ms).await?;
            let tenure = database.lease(Lease { holder: &request.holder, now_ms }, request.ttl_ms).await?;
            let granted = |tenure| LeaseAnswer { outbox_id: database.outbox_id().to_owned(), tenure: Some(tenure) };
            Ok(tenure.map(granted))
        })
        .await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<Changed, DrainError> {
        self.with(async |database| Ok(changed(database, database.release(&request.holder).await?))).await
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadAnswer>, DrainError> {
        self.with(async |database| {
            let holds_lease =
                async || database.holds_lease(Lease { holder: &request.holder, now_ms: System.now_ms() }).await;
            if !holds_lease().await? {
                return Ok(None);
            }
            let (last_position, run) = match request.which {
                Which::Unpublished => (None, None),
                Which::Unsettled if request.after == 0 => {
                    let run = database.next_run().await?;
                    (Some(database.last_position().await?), Some(run))
                }
                Which::Unsettled => (Some(database.last_position().await?), None),
            };
            let rows = wait_for_rows(database, &request).await?;
            // Another may have taken it meanwhile and be sending again what was there then: nobody who had it before may
            // get a row that came later.
            if !holds_lease().await? {
                return Ok(None);
            }
            Ok(Some(ReadAnswer { outbox_id: database.outbox_id().to_owned(), rows, last_position, run }))
        })
        .await
    }

    async fn published(&self, request: PublishedRequest) -> Result<Changed, DrainError> {
        self.with(async |database| Ok(changed(database, database.published(&request.rows).await?))).await
    }

    async fn unsettled(&self, request: UnsettledRequest) -> Result<UnsettledAnswer, DrainError> {
        self.with(async |database| {
            let rows = database.unsettled(request.after, request.limit).await?;
            Ok(UnsettledAnswer { outbox_id: database.outbox_id().to_owned(), rows })
        })
        .await
    }

    async fn rows(&self, request: RowsRequest) -> Result<RowsAnswer, DrainError> {
        self.with(async |database| {
            let rows = database.rows(request.after, request.limit).await?;
            Ok(RowsAnswer { outbox_id: database.outbox_id().to_owned(), rows })
        })
        .await
    }

    async fn settle(&self, request: SettleRequest) -> Result<Changed, DrainError> {
        self.with(async |database| Ok(changed(database, database.settle(&request.rows).await?))).await
    }

    async fn statistics(&self) -> Result<Statistics, DrainError> {
        self.with(async |database| {
            let depth = database.depth().await?;
            let age = depth.oldest_accepted_at.map_or(0, |at| System.now_ms().saturating_sub(at).max(0));
            Ok(Statistics {
                outbox_id: database.outbox_id().to_owned(),
                accepted_total: depth.accepted_total,
                messages: depth.messages,
                keys: depth.keys,
                bytes: depth.bytes,
                rows_max: self.bounds.rows_max,
                bytes_max: self.bounds.bytes_max,
                oldest_age_ms: age,
            })
        })
        .await
    }
}

fn changed(database: &Database<Spin>, changed: u64) -> Changed {
    Changed { outbox_id: database.outbox_id().to_owned(), changed }
}
