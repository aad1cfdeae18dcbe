use std::cell::Cell;
use std::rc::Rc;

use super::{Outbox, ROOMY, entry, one};
use crate::native::{LocalBell, Native};
use crate::{Bounds, Committer, Database, Error, JournalSetting, Pool, Source};

struct Connections {
    path: std::path::PathBuf,
    pool: Pool<Native>,
    opened: Cell<u32>,
    broken: Cell<bool>,
}

impl Connections {
    fn new(outbox: &Outbox) -> Rc<Self> {
        Rc::new(Self {
            path: outbox.path.clone(),
            pool: Pool::new(1_000),
            opened: Cell::new(0),
            broken: Cell::new(false),
        })
    }
}

impl Source for Connections {
    type Connection = Native;

    async fn take(&self) -> Result<Database<Native>, Error> {
        if self.broken.get() {
            return Err(Error::NotDurable("test".into()));
        }
        let open = async || {
            self.opened.set(self.opened.get() + 1);
            Database::open(Native::open(&self.path), JournalSetting::Auto).await
        };
        self.pool.take(open).await
    }

    fn put(&self, database: Database<Native>) {
        self.pool.put(database);
    }
}

/// Sends entries 1 to `count` at once and returns what each was told.
async fn send(connections: &Rc<Connections>, count: u8, bounds: Bounds) -> Vec<Result<bool, Error>> {
    let committer = Rc::new(Committer::<LocalBell>::default());
    let sends = (1..=count).map(|n| {
        let (committer, connections) = (Rc::clone(&committer), Rc::clone(connections));
        async move { committer.commit(&connections, one(n), bounds).await }
    });
    tokio::task::LocalSet::new().run_until(futures::future::join_all(sends)).await
}

#[tokio::test]
async fn sends_at_once_share_commits_on_one_connection() {
    let outbox = Outbox::new();
    let connections = Connections::new(&outbox);
    let outcomes = send(&connections, 200, ROOMY).await;
    assert!(outcomes.iter().all(|o| *o == Ok(true)));
    assert_eq!(connections.opened.get(), 1);
    assert_eq!(outbox.open().await.depth().await.unwrap().messages, 200);
}

#[tokio::test]
async fn each_send_learns_its_own_outcome() {
    let outbox = Outbox::new();
    let outcomes = send(&Connections::new(&outbox), 10, Bounds { rows_max: 6, ..ROOMY }).await;
    assert_eq!(outcomes.iter().filter(|o| **o == Ok(true)).count(), 6);
    for (n, outcome) in (1..).zip(outcomes) {
        let found = outbox.open().await.find(&entry(n).message_id).await.unwrap();
        assert_eq!(found.is_some(), outcome.unwrap(), "entry {n}");
    }
}

#[tokio::test]
async fn a_group_that_fails_fails_for_each_and_the_next_goes_on() {
    let outbox = Outbox::new();
    let connections = Connections::new(&outbox);
    connections.broken.set(true);
    let outcomes = send(&connections, 5, ROOMY).await;
    assert!(outcomes.iter().all(|o| matches!(o, Err(Error::NotDurable(_)))));
    connections.broken.set(false);
    assert!(send(&connections, 5, ROOMY).await.iter().all(|o| *o == Ok(true)));
}
