//! Dead letters: MongoDB tells which there are and which wait, the dead-letter topic holds the records themselves.
//!
//! Entry point: [`run`].

mod list;
mod records;
mod replay;
mod show;

use anyhow::Context as _;
use wiber_bridge::config::Config;
use wiber_bridge::store::{Letter, LetterFilter, Store};

use crate::Outcome;
use crate::args::{DeadLetters, Which};

/// Carries out a command on dead letters.
pub(crate) async fn run(config: &Config, command: DeadLetters, json: bool) -> anyhow::Result<Outcome> {
    let store = Store::new(&config.mongo).await?;
    store.ping().await.context("MongoDB (MONGO_URI) does not answer")?;
    match command {
        DeadLetters::List(list) => list::run(&store, &list, json).await,
        DeadLetters::Show { id } => show::run(config, &store, &id, json).await,
        DeadLetters::Replay(replay) => replay::run(config, &store, &replay, json).await,
    }
}

fn filter(which: &Which, replayed_too: bool) -> LetterFilter {
    LetterFilter {
        ids: which.ids.clone(),
        reason: which.reason.clone(),
        from_ms: which.from,
        to_ms: which.to,
        replayed_too,
    }
}

/// `waiting`, or `replayed`.
fn state(letter: &Letter) -> &'static str {
    if letter.replayed_at.is_some() { "replayed" } else { "waiting" }
}

/// Where the record lay, as one word.
fn origin(letter: &Letter) -> String {
    letter.origin.to_string()
}
