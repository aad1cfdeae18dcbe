//! What draining costs, and what memory the bridge uses, against how many conversations the messages are of.

use crate::args::Args;
use crate::figure::{Figure, Outcome, Plot, median};
use crate::machine::{self, resident_mb};
use crate::{rig, stored};

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (mut points, mut memory) = (Vec::new(), Vec::new());
    for conversations in numbers(args.messages) {
        let (mut rates, mut resident) = (Vec::new(), Vec::new());
        for _ in args.each_run() {
            let stack = rig::plan("conversations").start().await;
            stack.bridge().kill().await;
            rig::fill(&stack.client, args.messages, conversations).await?;
            outcome.idle.push(machine::idle_share().await);
            stack.bridge().start();
            rates.push(stored::rate(args.messages, async || stored::count(&stack).await).await?);
            resident.push(resident_mb(stack.bridge().pid())?);
            stack.stop().await;
            stack.store.database().drop().await?;
        }
        println!("  {conversations} conversations: {:.0}/s, {:.0} MB", median(&rates), median(&resident));
        points.push((conversations as f64, median(&rates)));
        memory.push((conversations as f64, median(&resident)));
        outcome.figures.push(Figure::new(format!("drained and stored, {conversations} conversations"), "/s", rates));
        outcome.figures.push(Figure::new(
            format!("memory of the bridge, {conversations} conversations"),
            "MB",
            resident,
        ));
    }
    let plot = |name, title: &str, y, points| Plot {
        name,
        title: title.to_owned(),
        x: "conversations",
        y,
        is_log: true,
        series: vec![("outbox to MongoDB".to_owned(), points)],
    };
    outcome.plots.push(plot("conversations-rate", "Messages drained and stored a second", "messages a second", points));
    outcome.plots.push(plot("conversations-memory", "Memory of the bridge after draining", "MB", memory));
    Ok(outcome)
}

/// 10, 1,000, 100,000 and so on, and as many as there are messages.
fn numbers(messages: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(10_u64), |number| number.checked_mul(100));
    let mut numbers: Vec<u64> = powers.take_while(|number| *number < messages).collect();
    numbers.push(messages);
    numbers
}
