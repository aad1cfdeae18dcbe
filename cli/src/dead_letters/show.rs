//! `wiber dead-letters show`.

use std::collections::BTreeMap;

use serde_json::json;
use wiber_bridge::config::Config;
use wiber_bridge::store::{Letter, LetterFilter, Store};
use wiber_model::rfc3339_millis;

use super::records::{self, Record, text};
use super::{list, origin, state};
use crate::topic::Topic;
use crate::{Outcome, table};

pub(super) async fn run(config: &Config, store: &Store, id: &str, json: bool) -> anyhow::Result<Outcome> {
    let filter = LetterFilter { ids: vec![id.to_owned()], replayed_too: true, ..LetterFilter::default() };
    let Some(letter) = store.letters(&filter).await?.next().await? else {
        eprintln!("wiber: there is no dead letter {id}");
        return Ok(Outcome::Differences);
    };
    let topic = Topic::open(&config.kafka, &config.kafka.dead_letter_topic())?;
    let mut record = None;
    tokio::task::block_in_place(|| {
        records::read(&topic, std::slice::from_ref(&letter), |_, found| record = Some(found))
    })?;
    if json {
        println!("{}", as_json(&letter, record.as_ref()));
    } else {
        print(&letter, record.as_ref(), topic.name());
    }
    Ok(Outcome::Clean)
}

fn as_json(letter: &Letter, record: Option<&Record>) -> serde_json::Value {
    let mut shown = list::as_json(letter);
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(text);
    shown["record"] = record.map_or(serde_json::Value::Null, |record| {
        let headers: BTreeMap<&str, Option<String>> =
            record.headers.iter().map(|(name, value)| (name.as_str(), bytes(value))).collect();
        json!({
            "key": bytes(&record.key),
            "headers": headers,
            "value": bytes(&record.value),
            "valueLeftOut": record.value_left_out,
        })
    });
    shown
}

fn print(letter: &Letter, record: Option<&Record>, topic: &str) {
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        line("id", letter.id.clone()),
        line("state", state(letter).to_owned()),
        line("reason", letter.reason.clone()),
        line("detail", letter.detail.clone()),
        line("origin", origin(letter)),
        line("at", rfc3339_millis(letter.at)),
        line("replays", letter.replays.to_string()),
    ];
    rows.extend(letter.replayed_at.map(|at| line("replayed at", rfc3339_millis(at))));
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or_else(|| "(none)".to_owned(), text);
    if let Some(record) = record {
        rows.push(line("key", bytes(&record.key)));
        rows.extend(record.headers.iter().map(|(name, value)| line(&format!("header {name}"), bytes(value))));
    }
    table::lines(&rows).iter().for_each(|line| println!("{line}"));
    match record {
        Some(record) if record.value_left_out => {
            println!("\nthe value was too large to be copied; it lay at the origin")
        }
        Some(record) => println!("\n{}", bytes(&record.value)),
        None => println!("\nits record is not in {topic}"),
    }
}
