//! Requests and answers: each may be slow, lost, or carried out long after nobody waits for it any more.

use std::cell::RefCell;
use std::rc::Rc;

use super::engine::Ms;
use super::world::World;

/// No answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request was never sent.
    Refused,
    /// It may be carried out, now or later or never.
    Unknown,
}

/// What a server says to a request that has reached it.
pub(crate) enum Reply<T> {
    /// At once.
    Now(T),
    /// Once the operation with this number is on a majority.
    Majority(u64, T),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// An outbox.
    Outbox(usize),
    /// Kafka: its log, its coordinator, its metadata.
    Kafka,
    /// MongoDB.
    Mongo,
}

/// How long a caller waits for an answer.
const TIMEOUT: Ms = 2_000;
type Slot<T> = Rc<RefCell<Option<Result<T, Lost>>>>;

/// Sends a request; its answer comes into `slot`.
pub(super) fn send<T: 'static>(
    world: &mut World,
    caller: (usize, u64),
    server: Server,
    slot: Slot<T>,
    run: impl FnOnce(&mut World) -> Reply<T> + 'static,
) {
    let there = world.latency();
    if world.is_down(server) {
        let (wait, lost) = if world.engine.chance(0.5) { (there, Lost::Refused) } else { (TIMEOUT, Lost::Unknown) };
        return answer(world, wait, caller, slot, Err(lost));
    }
    if !world.loses() {
        return world.engine.after(there, None, move |world| arrive(world, caller, server, Some(slot), run));
    }
    answer(world, TIMEOUT, caller, Rc::clone(&slot), Err(Lost::Unknown));
    // The request is lost; or the answer; or the request is carried out long after nobody waits for it any more.
    let late = match world.engine.between(0, 3) {
        0 => return,
        1 => world.engine.between(TIMEOUT, 30_000),
        _ => there,
    };
    world.engine.after(late, None, move |world| arrive(world, caller, server, None, run));
}

fn arrive<T: 'static>(
    world: &mut World,
    caller: (usize, u64),
    server: Server,
    slot: Option<Slot<T>>,
    run: impl FnOnce(&mut World) -> Reply<T>,
) {
    if world.is_down(server) {
        if let Some(slot) = slot {
            answer(world, TIMEOUT, caller, slot, Err(Lost::Unknown));
        }
        return;
    }
    match run(world) {
        Reply::Now(value) => {
            let back = world.latency();
            if let Some(slot) = slot {
                answer(world, back, caller, slot, Ok(value));
            }
        }
        Reply::Majority(operation, value) => {
            let replicated = world.replication();
            if let Some(slot) = slot.clone().filter(|_| replicated > TIMEOUT) {
                answer(world, TIMEOUT, caller, slot, Err(Lost::Unknown));
            }
            world.engine.after(replicated, None, move |world| {
                let kept = world.mongo.replicate(operation);
                let back = world.latency();
                let Some(slot) = slot else { return };
                match kept {
                    true => answer(world, back, caller, slot, Ok(value)),
                    false => answer(world, TIMEOUT, caller, slot, Err(Lost::Unknown)),
                }
            });
        }
    }
}

fn answer<T: 'static>(world: &mut World, wait: Ms, caller: (usize, u64), slot: Slot<T>, result: Result<T, Lost>) {
    world.engine.after(wait, Some(caller), move |_| {
        slot.borrow_mut().get_or_insert(result);
    });
}
