//! Settling under simulation: `settle`.

use std::collections::HashSet;
use std::rc::Rc;

use wiber_model::outbox::{ROWS_MAX, RowRef};
use wiber_model::record::source;

use super::super::forgotten::Forgotten;
use super::super::walk::Walk;
use super::Relay;
use crate::simulation::{Lost, Mutant, Server, freed};
use crate::store::Origin;

pub(super) async fn run(relay: Relay) {
    let mut forgotten = Forgotten::default();
    let mut wait = 100;
    loop {
        let state = Rc::clone(&relay.state);
        relay.process.until(move || state.borrow().held.tenure.is_some()).await;
        match round(&relay, &mut forgotten).await {
            Ok((0, _)) => {
                wait = 100;
                idle(&relay).await;
            }
            Ok((_, settled)) => {
                if settled > 0 {
                    wait = 100;
                }
                relay.process.pause(&mut wait, 2_000).await;
            }
            Err(_) => relay.process.pause(&mut wait, 2_000).await,
        }
    }
}

async fn idle(relay: &Relay) {
    let until = relay.process.now() + 1_000;
    relay.process.wake_after(1_000);
    let (state, world) = (Rc::clone(&relay.state), Rc::clone(&relay.process.world));
    let rung = move || std::mem::take(&mut state.borrow_mut().published) || world.borrow().engine.now >= until;
    relay.process.until(rung).await;
    relay.process.sleep(100).await;
}

async fn round(relay: &Relay, forgotten: &mut Forgotten) -> Result<(usize, usize), Lost> {
    let lag = relay.state.borrow().lag.clone();
    let mut walk = Walk::default();
    while !page(relay, &mut walk).await? {}
    if relay.state.borrow().under_way {
        forgotten.begin_anew();
        return Ok((walk.rows, walk.settled));
    }
    let latest_round = relay.state.borrow().lag.as_ref().map(|latest| latest.round);
    let found = lag.zip(latest_round).and_then(|(lag, latest)| forgotten.look(&walk.lowest, &lag, latest));
    if let Some(position) = found.filter(|_| !relay.has(Mutant::NeverResend)) {
        relay.process.note(|| format!("{} misses row {position}", relay.holder));
        relay.process.met("a row was missed");
        let mut state = relay.state.borrow_mut();
        (state.asked, state.under_way) = (true, true);
    }
    Ok((walk.rows, walk.settled))
}

/// Whether it was the last page.
async fn page(relay: &Relay, walk: &mut Walk) -> Result<bool, Lost> {
    let (outbox, after) = (relay.outbox, walk.after);
    let rows = relay.process.ask(relay.server(), move |world| world.outboxes[outbox].unsettled(after, ROWS_MAX));
    let rows = rows.await?;
    let asked: Vec<RowRef> = rows.iter().cloned().map(RowRef::from).collect();
    let source = source(&relay.outbox_id);
    let settled: HashSet<i64> = if relay.has(Mutant::FreeOnPublish) {
        asked.iter().map(|row| row.position).collect()
    } else {
        let settled = relay.process.ask(Server::Mongo, move |world| {
            let origin = |position| Origin { source: source.clone(), sequence: position };
            let settles = |row: &&RowRef| world.mongo.majority.settles(&row.message_id, &origin(row.position));
            asked.iter().filter(settles).map(|row| row.position).collect()
        });
        settled.await?
    };
    let page = walk.page(rows, &settled);
    if !page.free.is_empty() {
        let free = page.free;
        let settling = relay.process.ask(relay.server(), move |world| {
            let rows = world.outboxes[outbox].settle(&free);
            world.engine.note(|| {
                format!("rows {:?} of outbox {outbox} are freed", rows.iter().map(|(p, _)| p).collect::<Vec<_>>())
            });
            freed(world, outbox, &rows);
        });
        settling.await?;
    }
    Ok(page.is_last)
}
