//! An outbox as its protocol shows it (design, section 6): rows, marks, settlement, the lease.

use std::collections::BTreeMap;

use wiber_model::Message;
use wiber_model::lease::Lease;
use wiber_model::outbox::{PublishedRow, RowRef, UnsettledRow, Which};

use super::engine::Ms;

/// An accepted message.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) message: Message,
    /// The partition, once Kafka has acknowledged it.
    pub(crate) published: Option<i32>,
}

/// One outbox file.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) rows: BTreeMap<i64, Row>,
    last_position: i64,
    runs: i64,
    lease: Option<Lease>,
    tenure: i64,
    /// How far its wall clock is ahead.
    pub(crate) skew: i64,
    /// Grows with each row that may be read anew.
    pub(crate) version: u64,
}

impl Outbox {
    pub(crate) fn new(index: usize) -> Self {
        Self {
            id: format!("outbox-{index}"),
            url: format!("http://outbox-{index}/"),
            rows: BTreeMap::new(),
            last_position: 0,
            runs: 0,
            lease: None,
            tenure: 0,
            skew: 1_000_000_000,
            version: 0,
        }
    }

    fn clock(&self, now: Ms) -> i64 {
        i64::try_from(now).unwrap() + self.skew
    }

    pub(crate) fn accept(&mut self, message: Message) -> i64 {
        self.last_position += 1;
        self.rows.insert(self.last_position, Row { message, published: None });
        self.version += 1;
        self.last_position
    }

    /// The tenure; `None`: another holds it.
    pub(crate) fn take_lease(&mut self, holder: &str, now: Ms, ttl_ms: u64) -> Option<i64> {
        let now = self.clock(now);
        if !Lease::may_take(self.lease.as_ref(), holder, now) {
            return None;
        }
        self.tenure += i64::from(Lease::begins_tenure(self.lease.as_ref(), holder));
        self.lease = Some(Lease::granted(holder, now, ttl_ms));
        Some(self.tenure)
    }

    pub(crate) fn release(&mut self, holder: &str) {
        self.lease.take_if(|lease| lease.holder == holder);
    }

    /// Rows above `after`, the highest position and a new run's number; `None` under another's lease.
    pub(crate) fn read(&mut self, holder: &str, now: Ms, which: Which, after: i64, limit: u32) -> Option<Read> {
        if !Lease::may_read(self.lease.as_ref(), holder, self.clock(now)) {
            return None;
        }
        let wanted = |row: &Row| which == Which::Unsettled || row.published.is_none();
        let rows = self.rows.range(after + 1..).filter(|(_, row)| wanted(row)).take(limit as usize);
        let rows = rows.map(|(position, row)| (*position, row.message.clone())).collect();
        let highest = self.rows.last_key_value().map_or(0, |(position, _)| *position);
        let begins_run = which == Which::Unsettled && after == 0;
        self.runs += i64::from(begins_run);
        let last_position = (which == Which::Unsettled).then_some(highest);
        Some(Read { rows, last_position, run: begins_run.then_some(self.runs) })
    }

    pub(crate) fn mark(&mut self, rows: &[PublishedRow]) {
        for marked in rows {
            let row = self.rows.get_mut(&marked.position).filter(|row| row.message.message_id == marked.message_id);
            if let Some(row) = row {
                row.published.get_or_insert(marked.partition);
            }
        }
    }

    pub(crate) fn unsettled(&self, after: i64, limit: u32) -> Vec<UnsettledRow> {
        let published = |(position, row): (&i64, &Row)| {
            let message_id = row.message.message_id.clone();
            Some(UnsettledRow { position: *position, message_id, partition: row.published? })
        };
        self.rows.range(after + 1..).filter_map(published).take(limit as usize).collect()
    }

    /// Frees exact rows; returns those that were still there.
    pub(crate) fn settle(&mut self, rows: &[RowRef]) -> Vec<(i64, Row)> {
        let exact =
            |row: &&RowRef| self.rows.get(&row.position).is_some_and(|r| r.message.message_id == row.message_id);
        let freed: Vec<i64> = rows.iter().filter(exact).map(|row| row.position).collect();
        freed.into_iter().filter_map(|position| Some((position, self.rows.remove(&position)?))).collect()
    }
}

/// The answer to a read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) rows: Vec<(i64, Message)>,
    pub(crate) last_position: Option<i64>,
    pub(crate) run: Option<i64>,
}
