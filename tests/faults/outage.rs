//! Kafka and MongoDB both killed for long, under load: how many sends are accepted meanwhile, and how soon what gathered
//! is stored once both answer again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wiber_tests::load::{Load, Shape as LoadShape};
use wiber_tests::wait;

use crate::campaign;
use crate::injection::{Done, Injection, Recovery, Trouble};
use crate::report::{Campaign, Percentiles};
use crate::rows::Class;
use crate::sampler::Sampler;
use crate::world::{Shape, Variant, World};

/// The row whose fault this is, for longer and together with Kafka's.
const ROW: u8 = 18;
const NAME: &str = "Kafka and MongoDB both down";
/// A client sends this often.
const PACE: Duration = Duration::from_millis(100);
/// Load before the outage, so that everything is warm, and after the backlog, so that a later hitch is seen.
const CALM: Duration = Duration::from_secs(15);
/// Of a million attempts so many may get no 200.
const REFUSED_PER_MILLION: usize = 100;
/// More than a row of the load counts, in bytes.
const ROW_BYTES: usize = 1_000;
/// An attempt that waits longer for its answer was not accepted in time.
const HANGS: Duration = Duration::from_secs(1);
/// The part of the rate that must have been kept up meanwhile, or the outage was not what it was to be.
const RATE_KEPT: f64 = 0.95;
/// The longest outage whose backlog must be stored within [`BACKLOG_STORED`].
const SHORT_OUTAGE: Duration = Duration::from_secs(60);
const BACKLOG_STORED: Duration = Duration::from_secs(30);
/// How long a backlog may take before that is called not recovering.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Sends `rate` messages a second throughout, keeps both servers down for `down`, and judges every message.
///
/// # Errors
/// If the deployment cannot be started.
pub(crate) async fn run(rate: usize, down: Duration) -> anyhow::Result<Campaign> {
    let clients = (rate * usize::try_from(PACE.as_millis())?).div_ceil(1000);
    println!("outage: {}, {rate} messages a second, {NAME} for {down:?}", Shape::Single.word());
    let variant = Variant { own_disk: true, variables: bounds(rate, down), ..Variant::default() };
    let world = World::start(Shape::Single, "outage", &variant, PATIENCE).await?;
    let begun = Instant::now();
    let load = Load::start_counting(
        &world.stack.client,
        LoadShape { clients, pace: PACE, ..LoadShape::default() },
        &world.acknowledged,
    );
    let acknowledged = Arc::clone(&world.acknowledged);
    let counted = move || acknowledged.load(Ordering::Relaxed) as u64;
    let sampler = Sampler::start(begun, world.stack.store.clone(), counted, || NAME.to_owned());
    let injection = outage(&world, &load, begun, rate, down).await.inspect_err(|_| wiber_tests::run::keep())?;
    let mut campaign = Campaign::begin("outage", Shape::Single);
    campaign.injections.push(injection);
    campaign.accept = Percentiles::of_micros(&load.latencies());
    let mut log = load.finish().await;
    log.extend(world.sent_by_rows());
    campaign.judged.push(campaign::judge(&world, "outage", Class::Ordinary, &log, PATIENCE).await);
    campaign.samples = sampler.stop();
    campaign.seconds = begun.elapsed().as_secs_f64();
    campaign.store = campaign::stored(&world).await;
    if !campaign.is_clean() {
        wiber_tests::run::keep();
    }
    world.stop().await;
    Ok(campaign)
}

/// Bounds that an outage twice as long would not reach; each message is sent with a key, which counts as a row too.
fn bounds(rate: usize, down: Duration) -> Vec<(&'static str, String)> {
    let seconds = usize::try_from((down + CALM).as_secs()).unwrap_or(usize::MAX);
    let rows = 2 * 2 * rate * seconds;
    let bound = |name, wanted: usize, usual: usize| (name, wanted.max(usual).to_string());
    vec![bound("outbox_rows_max", rows, 2_000_000), bound("outbox_bytes_max", rows * ROW_BYTES, 1 << 31)]
}

async fn outage(
    world: &World,
    load: &Load,
    campaign: Instant,
    rate: usize,
    down: Duration,
) -> anyhow::Result<Injection> {
    tokio::time::sleep(CALM).await;
    let calm = load.acknowledged();
    let begun = campaign.elapsed();
    for broker in &world.brokers {
        broker.kafka.kill().await;
    }
    for member in &world.members {
        member.mongo.kill().await;
    }
    let (ok, refused) = (load.acknowledged(), load.refused());
    tokio::time::sleep(down).await;
    let (ok, refused) = (load.acknowledged() - ok, load.refused() - refused + load.waiting_for(HANGS));
    let kafka = futures::future::try_join_all(world.brokers.iter().map(|broker| broker.revive()));
    let mongo = futures::future::try_join_all(world.members.iter().map(|member| member.revive()));
    futures::future::try_join(kafka, mongo).await?;
    let (healed, answering) = (campaign.elapsed(), Instant::now());
    let gathered = world.stack.statistics().await.messages;
    let stored = backlog_stored(world, answering).await;
    let before = load.acknowledged();
    tokio::time::sleep(CALM).await;
    let after = (load.acknowledged() - before) as f64 / CALM.as_secs_f64();
    let meanwhile = ok as f64 / down.as_secs_f64();
    let detail = format!(
        "bounds {}; down for {down:?}; {ok} accepted, {refused} attempts not ({:.4} %), {:.0}/s before, {:.0}/s meanwhile, \
         {after:.0}/s afterwards; a backlog of {gathered} was stored {} after both answered",
        bounds(rate, down).iter().map(|(name, bound)| format!("{name} {bound}")).collect::<Vec<_>>().join(", "),
        ok as f64 * 100.0 / (ok + refused).max(1) as f64,
        calm as f64 / CALM.as_secs_f64(),
        meanwhile,
        stored.map_or_else(|| format!("not within {PATIENCE:?}"), |took| format!("{took:.1?}")),
    );
    println!("{detail}");
    let too_many = refused * 1_000_000 > (ok + refused) * REFUSED_PER_MILLION;
    let too_late = stored.is_none_or(|took| down <= SHORT_OUTAGE && took > BACKLOG_STORED);
    let outcome = match (too_many, too_late) {
        _ if meanwhile < rate as f64 * RATE_KEPT => {
            Err(Trouble::Broken(format!("fewer than {rate} messages a second were sent: {detail}")))
        }
        (true, _) => Err(Trouble::Broken(format!("too many sends were not accepted: {detail}"))),
        (_, true) => Err(Trouble::Broken(format!("the backlog took longer than {BACKLOG_STORED:?}: {detail}"))),
        _ => Ok(Done { times: 2, detail }),
    };
    let recovery = stored.map(|stored| Recovery { accepted: Duration::ZERO, stored });
    let ended = campaign.elapsed();
    Ok(Injection {
        row: ROW,
        name: NAME,
        lane: 0,
        begun,
        healed,
        ended,
        outcome,
        recovery,
        overlapped: false,
        required: (0, 0),
    })
}

/// Waits until all that was accepted before `moment` is stored and freed; how long after `moment` that was.
async fn backlog_stored(world: &World, moment: Instant) -> Option<Duration> {
    let freed = wait::until_within(PATIENCE * 2, "the backlog stored", async || {
        let statistics = world.stack.statistics().await;
        let now = moment.elapsed();
        let newer = u128::try_from(statistics.oldest_age_ms).unwrap_or(0) < now.as_millis();
        if statistics.messages == 0 || newer { Ok(now) } else { Err(format!("{} rows", statistics.messages)) }
    });
    tokio::time::timeout(PATIENCE, freed).await.ok()
}
