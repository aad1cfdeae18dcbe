//! Compares what outboxes, Kafka and MongoDB hold: accepted = published = stored, in content and in order.
//!
//! Entry point: [`run`]. It reads while the system runs and disturbs nothing, so what is on its way must not be taken for
//! missing. Hence the order of reading, against the way of a message: what was accepted is counted first; then the topic is
//! read up to an end; then MongoDB; then the rows that the outboxes still hold; then what the topic got meanwhile. Whatever
//! is in doubt after that is looked up once more by its id.
//!
//! Memory: 32 bytes for each message of the topic ([`published::Entry`]) and a bit for each position of an outbox, so 10
//! million messages take about 320 MB. Documents are only walked past.

mod content;
mod doubts;
mod findings;
mod outboxes;
mod published;
mod report;
mod scope;
mod stored;
mod unmatched;
mod walk;

use std::time::Duration;

use anyhow::Context as _;
use wiber_bridge::clock;
use wiber_bridge::config::Config;
use wiber_bridge::store::Store;
use wiber_servers::progress::Progress;

use crate::Outcome;
use crate::args::Verify;
use crate::topic::Topic;
use findings::Findings;
use outboxes::Outboxes;
use published::Published;
use report::{Counts, Report};
use scope::Scope;
use stored::Stored;

/// What every step needs.
struct Context<'a> {
    topic: &'a Topic,
    store: &'a Store,
    scope: &'a Scope,
    progress: &'a Progress,
    grace: Duration,
    now_ms: i64,
}

impl Context<'_> {
    /// Whether what happened then may still be on its way.
    fn is_fresh(&self, millis: i64) -> bool {
        self.now_ms.saturating_sub(millis) <= i64::try_from(self.grace.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Verifies what was asked for, prints what came of it.
pub(crate) async fn run(config: &Config, arguments: &Verify, json: bool) -> anyhow::Result<Outcome> {
    let scope = Scope::of(arguments)?;
    let store = Store::new(&config.mongo).await?;
    store.ping().await.context("MongoDB (MONGO_URI) does not answer")?;
    let topic = Topic::open(&config.kafka, &config.kafka.topic)?;
    let progress = Progress::new();
    let mut outboxes = Outboxes::look_at(&config.outbox_urls, &config.outbox_token).await?;
    let context = Context {
        topic: &topic,
        store: &store,
        scope: &scope,
        progress: &progress,
        grace: arguments.grace,
        now_ms: clock::unix_ms(),
    };
    let report = verify(&context, &mut outboxes, arguments.show).await?;
    if json {
        println!("{}", report.as_json());
    } else {
        report.print();
    }
    Ok(if report.is_clean() { Outcome::Clean } else { Outcome::Differences })
}

async fn verify(context: &Context<'_>, outboxes: &mut Outboxes, show: usize) -> anyhow::Result<Report> {
    let mut findings = Findings::new(show);
    let mut published = tokio::task::block_in_place(|| Published::read(context, outboxes, &mut findings))?;
    let mut stored = Stored::read(context, &mut published, outboxes, &mut findings).await?;
    let rows = outboxes.rows(context).await?;
    let late =
        tokio::task::block_in_place(|| unmatched::find(context, &published, &mut stored, outboxes, &mut findings))?;
    let doubts = doubts::resolve(context, &published, &rows, outboxes, &mut findings).await?;
    stored.walk.resolve_holes(context, &mut findings).await?;
    let lost = if context.scope.is_everything() { outboxes.report_lost(&mut findings) } else { 0 };
    let messages = published.messages() + late.found;
    let counts = Counts {
        accepted: messages + late.not_in_topic + doubts.unpublished + lost,
        published: messages,
        stored: stored.count + doubts.stored,
        dead_lettered: u64::try_from(doubts.dead_letters.len()).unwrap_or(u64::MAX),
        in_flight: doubts.in_flight,
    };
    Ok(Report::new(context, outboxes, &published, counts, findings))
}
