//! `wiber dead-letters replay`: the record as it first came, into the topic of messages, then the note that it was.
//!
//! A crash in between replays it once more, which changes nothing: the consumer takes an equal repeat for success.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use serde_json::{Value, json};
use wiber_bridge::config::{self, Config};
use wiber_bridge::kafka::{LogContext, client_config};
use wiber_bridge::store::{Letter, Place, Store};
use wiber_bridge::{clock, report::Chain};
use wiber_model::record::header;

use super::records::{self, Record};
use super::{filter, list, origin};
use crate::args::Replay;
use crate::topic::Topic;
use crate::{Outcome, table};
use wiber_model::partition_of;

/// How long Kafka may take to acknowledge a record, milliseconds.
const DELIVERY_MS: &str = "30000";
/// Letters whose records are held in memory at once.
const AT_ONCE: usize = 1_000;

/// What the guarantees rest on, as in the relay.
const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("acks", "all"),
    ("max.in.flight.requests.per.connection", "1"),
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", DELIVERY_MS),
    // What could be dead-lettered can be replayed.
    ("message.max.bytes", "20000000"),
];

/// What became of one letter.
enum Fate {
    /// It lies there now.
    Sent(Place),
    /// It would go into this partition; `None`: any, since it has no key.
    WouldGo(Option<i32>),
    /// Why it was not replayed.
    Not(String),
}

pub(super) async fn run(config: &Config, store: &Store, replay: &Replay, json: bool) -> anyhow::Result<Outcome> {
    let which = &replay.which;
    let chosen = !which.ids.is_empty() || which.reason.is_some() || which.from.is_some() || which.to.is_some();
    if !chosen && !replay.all {
        bail!("say which: --id, --reason, --from, --to, or --all for every one that waits");
    }
    let dead_letters = Topic::open(&config.kafka, &config.kafka.dead_letter_topic())?;
    let producer = (!replay.dry_run).then(|| producer(&config.kafka)).transpose()?;
    let target = Target { producer, topic: &config.kafka.topic, store };
    let mut done: Vec<(Letter, Fate)> = Vec::new();
    let replayed = all(&target, &dead_letters, replay, &mut done).await;
    // What was done is told also where the rest could not be.
    match (&replayed, json) {
        (Err(_), _) if done.is_empty() => {}
        (_, true) => print_json(&done, replay.dry_run),
        (_, false) => print(&done, replay.dry_run),
    }
    replayed?;
    let failed = done.iter().any(|(_, fate)| matches!(fate, Fate::Not(_)));
    // A letter that was named and is not there is not replayed either.
    let unknown = which.ids.iter().filter(|id| !done.iter().any(|(letter, _)| letter.id == **id));
    let unknown: Vec<&String> = unknown.inspect(|id| eprintln!("wiber: no dead letter {id} waits")).collect();
    Ok(if failed || !unknown.is_empty() { Outcome::Differences } else { Outcome::Clean })
}

/// Replays all that were chosen, and notes in `done` what became of each.
async fn all(
    target: &Target<'_>,
    dead_letters: &Topic,
    replay: &Replay,
    done: &mut Vec<(Letter, Fate)>,
) -> anyhow::Result<()> {
    let mut letters = target.store.letters(&filter(&replay.which, replay.again)).await?;
    loop {
        let mut some = Vec::new();
        while some.len() < AT_ONCE
            && let Some(letter) = letters.next().await?
        {
            some.push(letter);
        }
        if some.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        tokio::task::block_in_place(|| {
            records::read(dead_letters, &some, |letter, record| found.push((letter.clone(), record)))
        })?;
        some.retain(|letter| !found.iter().any(|(found, _)| found.id == letter.id));
        for (letter, record) in found {
            let fate = target.send(&letter, record).await;
            done.push((letter, fate));
        }
        let gone = format!("its record is not in {}", dead_letters.name());
        done.extend(some.into_iter().map(|letter| (letter, Fate::Not(gone.clone()))));
    }
}

struct Target<'a> {
    /// None: only say what would be done.
    producer: Option<FutureProducer<LogContext>>,
    topic: &'a str,
    store: &'a Store,
}

impl Target<'_> {
    async fn send(&self, letter: &Letter, record: Record) -> Fate {
        if record.value_left_out {
            return Fate::Not("its value was too large to be copied and lay at the origin only".to_owned());
        }
        let Some(producer) = &self.producer else { return Fate::WouldGo(record.key.as_deref().map(partition_of)) };
        let replays = letter.replays.saturating_add(1);
        match deliver(producer, self.topic, &record, replays).await {
            Ok(place) => match self.store.mark_replayed(letter, replays, clock::unix_ms()).await {
                Ok(()) => Fate::Sent(place),
                Err(error) => Fate::Not(format!("it was sent, but that could not be recorded: {}", Chain(&error))),
            },
            Err(error) => Fate::Not(format!("Kafka did not take it: {error}")),
        }
    }
}

async fn deliver(
    producer: &FutureProducer<LogContext>,
    topic: &str,
    record: &Record,
    replays: i64,
) -> Result<Place, rdkafka::error::KafkaError> {
    let count = replays.to_string();
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
    let headers = headers.insert(Header { key: header::REPLAYS, value: Some(&count) });
    let mut out: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    let delivered = producer.send(out, Timeout::After(Duration::from_secs(30))).await.map_err(|(error, _)| error)?;
    Ok(Place { topic: topic.to_owned(), partition: delivered.partition, offset: delivered.offset })
}

fn producer(kafka: &config::Kafka) -> anyhow::Result<FutureProducer<LogContext>> {
    let mut client = client_config(kafka);
    client.set("client.id", "wiber").set("linger.ms", "0");
    for (name, value) in FIXED {
        client.set(*name, *value);
    }
    client.create_with_context(LogContext).context("making a Kafka producer")
}

fn print_json(done: &[(Letter, Fate)], dry_run: bool) {
    let one = |(letter, fate): &(Letter, Fate)| {
        let mut shown = list::as_json(letter);
        let (name, value): (&str, Value) = match fate {
            Fate::Sent(place) => ("replayedTo", json!(place)),
            Fate::WouldGo(partition) => ("wouldGoTo", json!({ "partition": partition })),
            Fate::Not(why) => ("notReplayed", json!(why)),
        };
        shown[name] = value;
        shown
    };
    println!("{}", json!({ "dryRun": dry_run, "deadLetters": done.iter().map(one).collect::<Vec<_>>() }));
}

fn print(done: &[(Letter, Fate)], dry_run: bool) {
    if done.is_empty() {
        println!("nothing to replay");
        return;
    }
    let head = ["ID", "REASON", "ORIGIN", if dry_run { "WOULD GO TO" } else { "REPLAYED TO" }].map(str::to_owned);
    let row = |(letter, fate): &(Letter, Fate)| {
        let to = match fate {
            Fate::Sent(place) => place.to_string(),
            Fate::WouldGo(Some(partition)) => format!("partition {partition}"),
            Fate::WouldGo(None) => "any partition, since it has no key".to_owned(),
            Fate::Not(why) => format!("not replayed: {why}"),
        };
        vec![letter.id.clone(), letter.reason.clone(), origin(letter), to]
    };
    let rows: Vec<Vec<String>> = [head.to_vec()].into_iter().chain(done.iter().map(row)).collect();
    table::lines(&rows).iter().for_each(|line| println!("{line}"));
    let sent = done.iter().filter(|(_, fate)| !matches!(fate, Fate::Not(_))).count();
    println!("{sent} of {} {}", done.len(), if dry_run { "would be replayed" } else { "replayed" });
}
