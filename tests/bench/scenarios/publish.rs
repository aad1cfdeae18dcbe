//! The relay alone: what lies in an outbox, to Kafka.

use wiber_model::record::PARTITIONS;
use wiber_tests::{kafka, names};

use crate::args::Args;
use crate::ends::Ends;
use crate::figure::{Figure, Goal, Outcome};
use crate::{limits, machine, rig, stored};

const CONVERSATIONS: u64 = 1_000;
/// Records whose copies librdkafka alone sends.
const SAMPLE: usize = 10_000;

pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (mut rates, mut bare) = (Vec::new(), Vec::new());
    for _ in args.each_run() {
        let stack = rig::plan("publish").setting("WIBER_ROLES", "relay").start_unready().await;
        // The topic is made by then.
        kafka::describe(&stack.kafka, &stack.topic).await;
        stack.bridge().kill().await;
        rig::fill(&stack.client, args.messages, CONVERSATIONS).await?;
        outcome.idle.push(machine::idle_share().await);
        stack.bridge().start();
        let ends = Ends::of(&stack)?;
        rates.push(stored::rate(args.messages, async || ends.sum()).await?);
        stack.stop().await;
        let mut sample = stack.records().await;
        sample.truncate(SAMPLE);
        let topic = names::unique("bench-limit");
        kafka::create(&stack.kafka, &topic, PARTITIONS).await;
        bare.push(limits::kafka::acknowledged(&stack.kafka, &topic, sample, args.messages).await?);
        println!("  {:.0}/s; librdkafka alone {:.0}/s", rates[rates.len() - 1], bare[bare.len() - 1]);
        kafka::delete(&stack.kafka, &topic).await;
    }
    let rate = Figure::new("published", "/s", rates).goal(Goal::AtLeast(40_000.0));
    outcome.figures.push(rate.limit("librdkafka alone, the same records", &bare));
    Ok(outcome)
}
