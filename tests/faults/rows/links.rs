//! The links between the processes.

use std::time::Duration;

use rand::Rng as _;
use wiber_tests::proxy::{Flow, Proxy};

use super::Context;
use crate::injection::{Done, Trouble};

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
    let held = context.hold(4.0, 15.0).await;
    each(&context, link, Proxy::heal);
    Ok(Done::once(format!("{name}: {how} for {held:.1?}")))
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
