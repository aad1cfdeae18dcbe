//! The consumer alone: what lies in the topic, to MongoDB; and what the ledger's part of it costs.

use mongodb::bson::Document;
use wiber_tests::stack::Stack;

use crate::args::Args;
use crate::ends::Ends;
use crate::figure::{Figure, Goal, Outcome, median};
use crate::{limits, machine, rig, stored};

const CONVERSATIONS: u64 = 1_000;
/// What a document has for the ledger only.
const LEDGER: [&str; 2] = ["log", "hops"];
/// Turns of MongoDB alone, with and without those, a run.
const TURNS: usize = 3;

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (mut rates, mut bare, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in args.each_run() {
        let stack = published("store", args.messages, CONVERSATIONS).await?;
        outcome.idle.push(machine::idle_share().await);
        let rate = stored(&stack, args.messages).await?;
        let (with, without) = in_turns(&stack, args.messages).await?;
        println!("  {rate:.0}/s; insert_many alone {with:.0}/s, without the ledger's fields {without:.0}/s");
        // What they take of the time that a message takes.
        shares.push((1.0 / with - 1.0 / without) * rate * 100.0);
        rates.push(rate);
        bare.push(with);
        stack.store.database().drop().await?;
    }
    let rate = Figure::new("stored", "/s", rates).goal(Goal::AtLeast(35_000.0));
    outcome.figures.push(rate.limit("insert_many of the same documents, the same indexes", &bare).basis(50_000.0));
    outcome.figures.push(Figure::new("the ledger's fields, of a message's time", "%", shares).goal(Goal::AtMost(5.0)));
    outcome.notes.push(format!("{} messages of {CONVERSATIONS} conversations a run", args.messages));
    Ok(outcome)
}

/// MongoDB alone, documents a second: as they are, and without the ledger's fields.
async fn in_turns(stack: &Stack, messages: u64) -> anyhow::Result<(f64, f64)> {
    let documents = limits::mongo::documents(&stack.store, messages).await?;
    let lean: Vec<Document> = documents.iter().map(without_ledger).collect();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        with.push(limits::mongo::inserted(&stack.store, documents.clone()).await?);
        without.push(limits::mongo::inserted(&stack.store, lean.clone()).await?);
    }
    Ok((median(&with), median(&without)))
}

fn without_ledger(document: &Document) -> Document {
    let kept = document.iter().filter(|(name, _)| !LEDGER.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A deployment whose topic holds so many messages and whose collection none; its bridge does not run any more.
///
/// # Errors
/// If a message is not taken or not published.
async fn published(name: &str, messages: u64, conversations: u64) -> anyhow::Result<Stack> {
    let stack = rig::plan(name).setting("WIBER_ROLES", "relay").start_unready().await;
    rig::fill(&stack.client, messages, conversations).await?;
    let ends = Ends::of(&stack)?;
    stored::all(messages, async || ends.sum()).await?;
    stack.bridge().kill().await;
    Ok(stack)
}

/// How many messages a second a bridge that only consumes stores of `messages`.
///
/// # Errors
/// If they are not stored.
async fn stored(stack: &Stack, messages: u64) -> anyhow::Result<f64> {
    stack.bridge().set_environment(vec![("WIBER_ROLES".to_owned(), "consumer".to_owned())]);
    stack.bridge().start();
    let rate = stored::rate(messages, async || stored::count(stack).await).await?;
    stack.stop().await;
    Ok(rate)
}
