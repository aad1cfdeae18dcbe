//! The outboxes: what they accepted, and what they still hold.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use serde::Serialize;
use url::Url;
use wiber_bridge::config::Secret;
use wiber_bridge::relay::View;
use wiber_model::outbox::HeldRow;
use wiber_model::{Message, record};

use super::Context;
use super::content::{Id, digest};
use super::findings::{Findings, Kind};

/// The outboxes of `WIBER_OUTBOX_URLS`.
pub(super) struct Outboxes {
    all: Vec<Outbox>,
    /// By the id of the file.
    by_id: HashMap<String, usize>,
}

struct Outbox {
    view: View,
    id: String,
    /// Messages that it had accepted before anything else was looked at; their positions are all up to this one.
    accepted: i64,
    waiting: i64,
    /// A bit for each of those positions: set once its message was met anywhere.
    met: Vec<u64>,
}

/// A row that is still held.
pub(super) struct Held {
    pub(super) outbox: String,
    pub(super) position: i64,
    pub(super) accepted_at: i64,
    pub(super) published: bool,
    pub(super) digest: u64,
}

/// The rows of the scope that are still held.
pub(super) type Rows = HashMap<Id, Held>;

/// An outbox as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    pub(super) url: &'a str,
    pub(super) id: &'a str,
    pub(super) accepted: i64,
    pub(super) waiting: i64,
}

impl Outboxes {
    /// Asks each how much it has accepted.
    pub(super) async fn look_at(urls: &[Url], token: &Secret) -> anyhow::Result<Self> {
        let mut all: Vec<Outbox> = Vec::new();
        for url in urls {
            let view = View::new(url, token)?;
            let told = view.statistics().await.context("asking an outbox (WIBER_OUTBOX_URLS, WIBER_OUTBOX_TOKEN)")?;
            if let Some(same) = all.iter().find(|outbox| outbox.id == told.outbox_id) {
                bail!(
                    "{} and {} are one outbox ({}): name it once in WIBER_OUTBOX_URLS",
                    same.view.url(),
                    view.url(),
                    told.outbox_id
                );
            }
            let words = usize::try_from(told.accepted_total).unwrap_or(0).div_ceil(64);
            all.push(Outbox {
                view,
                id: told.outbox_id,
                accepted: told.accepted_total,
                waiting: told.messages,
                met: vec![0; words],
            });
        }
        let by_id = all.iter().enumerate().map(|(index, outbox)| (outbox.id.clone(), index)).collect();
        Ok(Self { all, by_id })
    }

    /// Notes that the message of a row was met. Returns whether the outbox is one of these.
    pub(super) fn meet(&mut self, source: Option<&str>, sequence: Option<i64>) -> bool {
        let index = source.and_then(record::outbox_of).and_then(|id| self.by_id.get(id));
        let (Some(index), Some(position)) = (index, sequence) else { return false };
        self.all[*index].meet(position);
        true
    }

    /// Every row that is still held, as far as it is in scope.
    pub(super) async fn rows(&mut self, context: &Context<'_>) -> anyhow::Result<Rows> {
        let task = context.progress.task("Reading the outboxes");
        let mut rows = Rows::new();
        for outbox in &mut self.all {
            let mut after = 0;
            loop {
                let asked = outbox.view.rows(after).await;
                let answer = asked.context("reading an outbox (WIBER_OUTBOX_URLS, WIBER_OUTBOX_TOKEN)")?;
                let Some(last) = answer.rows.last() else { break };
                after = last.position;
                for row in answer.rows {
                    outbox.meet(row.position);
                    rows.extend(
                        held(&outbox.view, &row)
                            .filter(|(message, _)| context.scope.holds(message))
                            .map(|(message, held)| (Id::of(&message.message_id), held)),
                    );
                }
                task.now(&format!("{} rows", rows.len()));
            }
        }
        Ok(rows)
    }

    /// Names every position whose message was met nowhere. Returns how many there are.
    pub(super) fn report_lost(&self, findings: &mut Findings) -> u64 {
        let mut lost = 0;
        for outbox in &self.all {
            for position in (1..=outbox.accepted).filter(|position| !outbox.is_met(*position)) {
                lost += 1;
                let id = format!("{}#{position}", outbox.view.url());
                let problem =
                    "accepted at this position of the outbox, and now neither there, nor in the topic, nor stored";
                findings.add(Kind::Missing, &id, problem);
            }
        }
        lost
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.all.iter().map(|outbox| Shown {
            url: outbox.view.url(),
            id: &outbox.id,
            accepted: outbox.accepted,
            waiting: outbox.waiting,
        })
    }
}

/// A row's message; `None` if it is of another version.
fn held(view: &View, row: &HeldRow) -> Option<(Message, Held)> {
    let message: Message = serde_json::from_str(row.message.get()).ok()?;
    let held = Held {
        outbox: view.url().to_owned(),
        position: row.position,
        accepted_at: row.accepted_at,
        published: row.published,
        digest: digest(&message),
    };
    Some((message, held))
}

impl Outbox {
    fn place(&self, position: i64) -> Option<(usize, u64)> {
        let index = usize::try_from(position.checked_sub(1)?).ok()?;
        (position <= self.accepted).then_some((index / 64, 1 << (index % 64)))
    }

    fn meet(&mut self, position: i64) {
        if let Some((word, bit)) = self.place(position) {
            self.met[word] |= bit;
        }
    }

    fn is_met(&self, position: i64) -> bool {
        self.place(position).is_some_and(|(word, bit)| self.met[word] & bit != 0)
    }
}
