//! How long a message is on its way: from before its POST until a GET shows it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use tokio::time::{Instant, MissedTickBehavior};
use wiber_tests::answer::Answer;
use wiber_tests::names;
use wiber_tests::stack::Stack;

use crate::args::Args;
use crate::figure::{Figure, Goal, Outcome};
use crate::limits::steps::EVERY;
use crate::load::{self, Load, Pace};
use crate::{held, limits, machine, rig};

/// After this long without a message the relay may look less often.
const REST: Duration = Duration::from_secs(12);
/// First messages after a rest, a run.
const FIRSTS: usize = 5;
/// Between the beginnings of two looks whether it is there, and the most of them at once: more would take the processors
/// from what is measured, fewer would measure themselves.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS_MAX: usize = 2;
/// What takes longer is told of by itself.
const SLOW: Duration = Duration::from_millis(40);
/// How long a message may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    // Before anything else takes the processors.
    let half = held::rate(&args).await? / 2.0;
    let stack = rig::plan("latency").start().await;
    let (mut alone, mut steps, mut flushes) = (Quantiles::default(), Vec::new(), Quantiles::default());
    paced(&stack, Duration::from_secs(3)).await?;
    for _ in args.each_run() {
        outcome.idle.push(machine::idle_share().await);
        steps.push(limits::steps::of(&stack).await?);
        let (met, flushed) = limits::disk::beside(stack.folder(), EVERY, paced(&stack, args.measured() * 2)).await?;
        alone.add(&met?);
        flushes.add(&flushed);
    }
    println!("  each step alone: {:.2?} ms", steps.iter().map(limits::steps::Steps::each).collect::<Vec<_>>());
    println!("  a message every 100 ms: p50 {:.1?} ms, p99 {:.1?} ms", alone.p50, alone.p99);
    let (mut firsts, mut slowest) = (Vec::new(), Vec::new());
    for _ in args.each_run() {
        let mut run = Vec::new();
        for _ in 0..FIRSTS {
            tokio::time::sleep(REST).await;
            let (one, other) = names::pair();
            run.push(journey(&stack, (&one, &other), 0).await?.as_secs_f64() * 1000.0);
        }
        slowest.push(run.iter().copied().fold(0.0, f64::max));
        firsts.push(crate::figure::median(&run));
    }
    let (mut loaded, mut flushes_loaded) = (Quantiles::default(), Quantiles::default());
    for _ in args.each_run() {
        let load = Load {
            address: rig::address(&stack)?,
            connections: held::CONNECTIONS,
            pace: Pace::Open(half),
            warm_up: Duration::from_secs(2),
            measured: args.measured() * 2,
            make: rig::sends("/messages"),
        };
        let paced = limits::disk::beside(stack.folder(), EVERY, paced(&stack, args.measured() * 2));
        let (met, beside) = tokio::join!(load::run(&load), paced);
        met?.all_well()?;
        let (beside, flushed) = beside?;
        loaded.add(&beside?);
        flushes_loaded.add(&flushed);
    }
    println!("  beside {half:.0}/s: p50 {:.1?} ms, p99 {:.1?} ms", loaded.p50, loaded.p99);
    stack.stop().await;
    let every = "a message every 100 ms";
    let sums: Vec<f64> = steps.iter().map(limits::steps::Steps::sum).collect();
    let beside = |figure: Figure| figure.limit("a flush, a record and a document alone, at the same pace", &sums);
    outcome.figures.push(beside(Figure::new(format!("p50, {every}"), "ms", alone.p50).goal(Goal::AtMost(4.0))));
    // Not beside the steps, whose medians say nothing of the slowest.
    let flush = "p99 of an fdatasync each 100 ms meanwhile, of which a message waits for two";
    let p99 = Figure::new(format!("p99, {every}"), "ms", alone.p99).goal(Goal::AtMost(12.0));
    outcome.figures.push(p99.limit(flush, &flushes.p99));
    let step = |word: &str, of: fn(&limits::steps::Steps) -> f64| {
        Figure::new(format!("step: {word}, p50"), "ms", steps.iter().map(of).collect())
    };
    outcome.figures.push(step("an fdatasync", |steps| steps.disk));
    outcome.figures.push(step("a record to Kafka, acks=all", |steps| steps.kafka));
    outcome.figures.push(step("a document to MongoDB, by majority and journaled", |steps| steps.mongo));
    outcome.figures.push(Figure::new("the first after 12 s, median", "ms", firsts));
    outcome.figures.push(Figure::new("the first after 12 s, slowest", "ms", slowest).goal(Goal::AtMost(40.0)));
    outcome.figures.push(Figure::new("p50 beside half of the rate that the path holds", "ms", loaded.p50));
    let loaded = Figure::new("p99 beside half of the rate that the path holds", "ms", loaded.p99);
    outcome.figures.push(loaded.goal(Goal::AtMost(60.0)).limit(flush, &flushes_loaded.p99));
    outcome.notes.push(format!("half of the rate that the path holds: {half:.0}/s"));
    Ok(outcome)
}

#[derive(Default)]
struct Quantiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Quantiles {
    fn add(&mut self, histogram: &Histogram<u64>) {
        self.p50.push(histogram.value_at_quantile(0.5) as f64 / 1000.0);
        self.p99.push(histogram.value_at_quantile(0.99) as f64 / 1000.0);
    }
}

/// A message every 100 ms in one conversation; microseconds.
async fn paced(stack: &Stack, measured: Duration) -> anyhow::Result<Histogram<u64>> {
    let mut took = Histogram::new(3)?;
    let (one, other) = names::pair();
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + measured;
    for count in 0.. {
        clock.tick().await;
        if Instant::now() >= end {
            break;
        }
        took.record(u64::try_from(journey(stack, (&one, &other), count).await?.as_micros())?)?;
    }
    Ok(took)
}

/// Sends a message to a conversation that has `before`, and asks until it is there.
async fn journey(stack: &Stack, (one, other): (&str, &str), before: u64) -> anyhow::Result<Duration> {
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let sent = stack.client.send(one, other, &"x".repeat(100)).await;
    let answered = began.elapsed();
    let (query, mut looks) = (format!("?limit=1&after={before}"), FuturesUnordered::new());
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(page) = looks.next() => {
                let page: Answer = page;
                if let Some(message) = page.expect(200).array().first() {
                    let took = began.elapsed();
                    anyhow::ensure!(message["messageId"] == sent["messageId"], "another message came: {message}");
                    // Left alone, since a broken connection would cost the next message something.
                    while looks.next().await.is_some() {}
                    if took > SLOW {
                        tell(stack, sent["messageId"].as_str().unwrap_or_default(), began_at, answered, took).await;
                    }
                    return Ok(took);
                }
            }
            _ = clock.tick(), if looks.len() < LOOKS_MAX => {
                looks.push(stack.client.page(one, other, &query));
                anyhow::ensure!(began.elapsed() < TIME_LIMIT, "a message was not readable within {TIME_LIMIT:?}");
            }
        }
    }
}

/// Says where a slow message was held up.
async fn tell(stack: &Stack, id: &str, began_at: SystemTime, answered: Duration, took: Duration) {
    let began_ms = began_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let hops = stack.store.message(id).await.and_then(|stored| stored.get_document("hops").cloned().ok());
    let hops = hops.unwrap_or_default();
    let after = |hop: &str| hops.get_i64(hop).map_or(-1, |at| at - began_ms);
    println!(
        "  slow: {took:.0?}; answered {answered:.0?}, published {} ms, stored {} ms after its POST",
        after("publishedAt"),
        after("storedAt"),
    );
}
