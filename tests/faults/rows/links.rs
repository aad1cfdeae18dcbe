//! The links between the processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng as _;
use wiber_tests::proxy::{Flow, Proxy};

use super::Context;
use crate::injection::{Done, Trouble};

/// A bridge that cannot reach anybody uses no more of a core.
const BUSY_MAX: f64 = 0.2;
const SETTLED: Duration = Duration::from_secs(1);

fn choose(context: &mut Context) -> usize {
    // In a cluster MongoDB's links are also the members' own.
    context.draws.random_range(0..context.world.links().len())
}

fn each(context: &Context, link: usize, act: impl Fn(&Proxy)) -> &'static str {
    let (name, proxies) = context.world.links().swap_remove(link);
    proxies.into_iter().for_each(act);
    name
}

pub(super) async fn cut(mut context: Context) -> Result<Done, Trouble> {
    let link = choose(&mut context);
    let (how, name) = match context.draws.random_range(0..5) {
        0 => ("cut", each(&context, link, Proxy::cut)),
        1 => ("held both ways", each(&context, link, Proxy::pause)),
        2 => ("held forth", each(&context, link, |link| link.shape(Flow::Held, Flow::Open))),
        3 => ("held back", each(&context, link, |link| link.shape(Flow::Open, Flow::Held))),
        _ => {
            let rounds = if context.short { 2 } else { context.draws.random_range(3..8) };
            let mut name = "";
            for _ in 0..rounds {
                name = each(&context, link, Proxy::cut);
                tokio::time::sleep(Duration::from_millis(500)).await;
                each(&context, link, Proxy::heal);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            return Ok(Done::once(format!("{name}: flapping for {rounds} s")));
        }
    };
    // What is under way ends first.
    tokio::time::sleep(SETTLED).await;
    let (began, before) = (Instant::now(), cpu_seconds(&context));
    let held = context.hold(4.0, 15.0).await;
    let after = cpu_seconds(&context);
    let used = |(pid, before): (&u32, &f64)| after.get(pid).map(|after| after - before);
    let busiest = before.iter().map(used).collect::<Option<Vec<_>>>();
    let busiest = busiest.map(|used| used.into_iter().fold(0.0, f64::max) / began.elapsed().as_secs_f64());
    each(&context, link, Proxy::heal);
    // With the others there is work to do.
    let idles = name == "bridge to outbox" || name == "bridge to Kafka";
    let Some(busy) = busiest.filter(|_| before.len() == after.len()) else {
        return Err(format!("{name}: {how} for {held:.1?}; meanwhile a bridge ended").into());
    };
    if idles && held > SETTLED * 2 && busy > BUSY_MAX {
        return Err(format!("{name}: {how} for {held:.1?}; meanwhile a bridge used {busy:.2} of a core").into());
    }
    Ok(Done::once(format!("{name}: {how} for {held:.1?}; the busiest bridge used {busy:.2} of a core")))
}

/// Processor time that each working bridge has used, by its process id.
fn cpu_seconds(context: &Context) -> BTreeMap<u32, f64> {
    // In /proc/<pid>/stat, after the name in brackets: the 12th and 13th field, in hundredths of a second.
    let used = |pid: u32| -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((user + system) / 100.0)
    };
    context.world.working_bridges().filter_map(|bridge| Some((bridge.pid(), used(bridge.pid())?))).collect()
}

pub(super) async fn slow(mut context: Context) -> Result<Done, Trouble> {
    let link = choose(&mut context);
    let (how, flow) = match context.draws.random_range(0..4) {
        0 => ("500 ms late", Flow::Delayed(Duration::from_millis(500))),
        1 => ("breaking at 5 % of chunks", Flow::Breaking { probability: 0.05 }),
        2 => ("byte by byte", Flow::Bytewise),
        _ => ("64 kbit/s", Flow::Slow { bytes_per_second: 8_000 }),
    };
    let name = each(&context, link, |link| link.shape(flow, flow));
    let held = context.hold(6.0, 20.0).await;
    each(&context, link, Proxy::heal);
    Ok(Done::once(format!("{name}: {how} for {held:.1?}")))
}
