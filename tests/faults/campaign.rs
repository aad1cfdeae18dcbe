//! A campaign: one deployment, load, lanes of faults in phases, and a judgement after each phase.

mod lane;
mod plan;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use wiber_tests::checker;
use wiber_tests::load::{Entry, Load, Shape as LoadShape};

use crate::injection::Injection;
use crate::report::{Campaign, Judged, Percentiles};
use crate::rows::Class;
use crate::sampler::Sampler;
use crate::world::World;

use lane::{Lane, Shared};
pub(crate) use plan::{Phase, Plan, plan};

/// Runs a campaign to its end.
///
/// # Errors
/// If the deployment cannot be started; what goes wrong afterwards stands in the outcome.
pub(crate) async fn run(name: &str, plan: Plan) -> anyhow::Result<Campaign> {
    println!("{name}: {}, {}", plan.shape.word(), plan.describe());
    let world = Arc::new(World::start(plan.shape, name, &plan.variant, plan.patience).await?);
    let begun = Instant::now();
    let shared = Arc::new(Shared::new(begun));
    let (counted, doing) = (Arc::clone(&world.acknowledged), Arc::clone(&shared));
    let sampler = Sampler::start(
        begun,
        world.stack.store.clone(),
        move || counted.load(Ordering::Relaxed) as u64,
        move || doing.describe(),
    );
    let mut campaign = Campaign::begin(name, plan.shape);
    let mut log: Vec<Entry> = Vec::new();
    let mut latencies = hdrhistogram::Histogram::new(3)?;
    for phase in &plan.phases {
        let load = Load::start_counting(&world.stack.client, plan.load, &world.acknowledged);
        let lanes = run_lanes(&plan, phase, &world, &shared).await;
        campaign.injections.extend(lanes);
        world.heal().await.inspect_err(|_| wiber_tests::run::keep())?;
        latencies.add(load.latencies())?;
        log.extend(load.finish().await);
        log.extend(world.sent_by_rows());
        campaign.judged.push(judge(&world, phase.name, phase.class, &log, plan.check_max).await);
    }
    campaign.samples = sampler.stop();
    campaign.seconds = begun.elapsed().as_secs_f64();
    campaign.accept = Percentiles::of_micros(&latencies);
    campaign.store = stored(&world).await;
    if plan.keeps_evidence && !campaign.is_clean() {
        wiber_tests::run::keep();
    }
    if let Ok(world) = Arc::try_unwrap(world) {
        world.stop().await;
    }
    Ok(campaign)
}

async fn run_lanes(plan: &Plan, phase: &Phase, world: &Arc<World>, shared: &Arc<Shared>) -> Vec<Injection> {
    let lanes = phase.lanes.iter().enumerate().map(|(index, rows)| {
        let lane = Lane { index, seed: plan.seed, rows: rows.clone(), length: phase.length, short: plan.short };
        lane.run(Arc::clone(world), Arc::clone(shared))
    });
    futures::future::join_all(lanes).await.into_iter().flatten().collect()
}

/// Drains, reads back and compares; a panic of the harness (a drain that never ends) is a finding too.
pub(crate) async fn judge(world: &World, phase: &'static str, class: Class, log: &[Entry], limit: Duration) -> Judged {
    let began = Instant::now();
    let logged = class == Class::Ordinary;
    let examined = AssertUnwindSafe(checker::examine(&world.stack, log, logged, limit)).catch_unwind().await;
    let mut report = examined.map_err(|panic| lane::panic_text(panic.as_ref()));
    // A topic that is wiped takes the dead letters' records with it.
    if logged && let Ok(report) = &mut report {
        let without = checker::letters_without_records(&world.stack).await;
        report
            .lost
            .extend(without.into_iter().map(|letter| format!("its record is not in the dead-letter topic: {letter}")));
    }
    Judged { phase, seconds: began.elapsed().as_secs_f64(), report }
}

/// From acceptance to storage, by the documents themselves.
pub(crate) async fn stored(world: &World) -> Percentiles {
    let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("three digits can be had");
    for document in world.stack.store.messages().await {
        let Ok(hops) = document.get_document("hops") else { continue };
        if let (Ok(accepted), Ok(stored)) = (hops.get_i64("acceptedAt"), hops.get_i64("storedAt")) {
            // A clock that jumped makes nonsense of some.
            let _ = histogram.record(u64::try_from(stored - accepted).unwrap_or(0) * 1000);
        }
    }
    Percentiles::of_micros(&histogram)
}

/// How clients send.
pub(crate) fn load_shape(clients: usize, pace_ms: u64) -> LoadShape {
    LoadShape { clients, pace: Duration::from_millis(pace_ms), fickle: true }
}
