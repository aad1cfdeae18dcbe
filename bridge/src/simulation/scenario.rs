//! One seed: a system of some size, messages, faults, healing, draining, and what must hold.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use wiber_model::{Message, NewMessage};

use super::check;
use super::engine::{Engine, Ms, Shared, step};
use super::fault;
use super::mutant::Mutant;
use super::process::Process;
use super::world::{Command, Watched, World};
use crate::{consumer, relay};

/// How long draining may take once nothing goes wrong any more.
const DRAIN_LIMIT: Ms = 400_000;

/// What must happen in some seeds, or they would prove little.
pub(crate) const OCCASIONS: [&str; 8] = [
    "a commit was refused",
    "a fail-over took writes back",
    "a gap was passed",
    "a member was evicted",
    "a producer that was gone appended",
    "a row was missed",
    "a write met an index",
    "an id was in conflict",
];

/// What a seed is about.
#[derive(Debug)]
struct Size {
    outboxes: usize,
    partitions: usize,
    relays: usize,
    consumers: usize,
    conversations: u64,
    messages: u64,
    faults: u64,
    active: Ms,
}

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<String>,
    pub(crate) trace: Vec<String>,
    /// What has happened at least once, of [`OCCASIONS`].
    pub(crate) met: BTreeSet<&'static str>,
    /// Events until the end.
    pub(crate) events: u64,
}

/// The partition of a message's conversation.
pub(crate) fn partition(message: &Message, partitions: usize) -> usize {
    message.to_user.bytes().map(usize::from).sum::<usize>() % partitions
}

struct Simulation {
    world: Shared,
    size: Size,
    processes: Vec<Option<Process>>,
    lives: u64,
    events: u64,
}

/// Runs one seed.
pub(crate) fn run(seed: u64, mutant: Option<Mutant>, traced: bool) -> Outcome {
    let mut engine = Engine::new(seed, traced);
    let size = Size {
        outboxes: 1 + usize::from(engine.chance(0.3)),
        partitions: 1 + engine.index(3),
        relays: 1 + engine.index(2),
        consumers: 1 + engine.index(3),
        conversations: engine.between(1, 4),
        messages: engine.between(3, 30),
        faults: engine.between(0, 8),
        active: engine.between(2_000, 20_000),
    };
    engine.note(|| format!("seed {seed}: {size:?}"));
    let mut world = World::new(engine, size.outboxes, size.partitions, mutant);
    world.loss = [0.0, 0.01, 0.05, 0.2][world.engine.index(4)];
    world.paused = vec![false; size.relays + size.consumers];
    world.checker.relay_failed = size.relays > 1;
    plan(&mut world, &size);
    let mut simulation = Simulation {
        world: Rc::new(RefCell::new(world)),
        processes: vec![None; size.relays + size.consumers],
        size,
        lives: 0,
        events: 0,
    };
    simulation.run();
    for process in simulation.processes.iter().flatten() {
        process.kill();
    }
    let world = simulation.world.borrow();
    Outcome {
        violation: world.checker.violation.clone(),
        trace: world.engine.trace().to_vec(),
        met: world.engine.met.clone(),
        events: simulation.events,
    }
}

fn plan(world: &mut World, size: &Size) {
    for number in 0..size.messages {
        let at = world.engine.between(1, size.active);
        let (outbox, conversation) = (world.engine.index(size.outboxes), world.engine.between(1, size.conversations));
        let count = if world.engine.chance(0.3) { world.engine.between(2, 5) } else { 1 };
        world.engine.after(at, None, move |world| {
            for copy in 0..count {
                accept(world, number * 10 + copy, outbox, conversation);
            }
        });
    }
    for _ in 0..size.faults {
        let at = world.engine.between(1, size.active);
        fault::plan(world, at, size.relays + size.consumers);
    }
}

fn accept(world: &mut World, number: u64, outbox: usize, conversation: u64) {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let new = NewMessage { from_user: "a".into(), to_user: format!("b{conversation}"), content: number.to_string() };
    let millis = 1_700_000_000_000 + i64::try_from(world.engine.now).unwrap();
    let message = Message::accept(new, millis, random);
    let position = world.outboxes[outbox].accept(message.clone());
    world.engine.note(|| format!("outbox {outbox} accepts {position}, conversation b{conversation}"));
    world.checker.accept(outbox, position, message);
    world.changed(Watched::Outbox(outbox));
}

impl Simulation {
    fn run(&mut self) {
        for id in 0..self.processes.len() {
            self.start(id);
        }
        let healed_at = self.size.active + 1_000;
        self.advance(|world| world.engine.now >= healed_at);
        self.heal();
        let limit = self.world.borrow().engine.now + DRAIN_LIMIT;
        self.advance(|world| check::is_drained(world) || world.engine.now >= limit);
        if !check::is_drained(&self.world.borrow()) {
            return check::stuck(&mut self.world.borrow_mut());
        }
        // Late writes of processes that are gone must change nothing.
        let linger = self.world.borrow().engine.now + 3_000;
        self.advance(|world| world.engine.now >= linger);
        check::end(&mut self.world.borrow_mut());
    }

    fn advance(&mut self, done: impl Fn(&World) -> bool) {
        loop {
            {
                let world = self.world.borrow();
                if world.checker.violation.is_some() || done(&world) {
                    return;
                }
            }
            let Some(process) = step(&self.world) else { return };
            self.events += 1;
            if let Some((id, life)) = process {
                let running = self.processes[id].as_ref().filter(|p| p.key() == (id, life));
                if let Some(process) = running.filter(|_| !self.world.borrow().paused[id]) {
                    process.poll();
                }
            }
            loop {
                let commands = std::mem::take(&mut self.world.borrow_mut().commands);
                if commands.is_empty() {
                    break;
                }
                for command in commands {
                    self.obey(command);
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        if let Command::Crash(id, _) | Command::Pause(id) = command {
            self.world.borrow_mut().checker.relay_failed |= id < self.size.relays;
        }
        match command {
            Command::Crash(id, wait) => {
                let Some(process) = self.processes[id].take() else { return };
                process.kill();
                let mut world = self.world.borrow_mut();
                world.paused[id] = false;
                for producer in world.producers_of(id) {
                    world.drop_producer(producer);
                }
                world.engine.after(wait, None, move |world| world.commands.push(Command::Start(id)));
            }
            Command::Start(id) if self.processes[id].is_none() => self.start(id),
            Command::Start(_) => {}
            Command::Stop(id) => {
                let mut world = self.world.borrow_mut();
                let (deadline, wait) = (world.engine.between(100, 10_000), world.engine.between(50, 2_000));
                world.engine.after(deadline, None, move |world| world.commands.push(Command::Crash(id, wait)));
                drop(world);
                if let Some(process) = &self.processes[id] {
                    process.stopping.set(true);
                    process.wake_after(1);
                }
            }
            Command::Pause(id) => self.world.borrow_mut().paused[id] = true,
            Command::Wake(id) => self.wake(id),
        }
    }

    fn wake(&mut self, id: usize) {
        {
            let mut world = self.world.borrow_mut();
            if !std::mem::replace(&mut world.paused[id], false) {
                return;
            }
            world.engine.note(|| format!("process {id} goes on"));
            for producer in world.producers_of(id) {
                for partition in 0..world.kafka.partitions.len() {
                    world.send_soon(producer, partition);
                }
            }
        }
        if let Some(process) = &self.processes[id] {
            process.poll();
        }
    }

    fn start(&mut self, id: usize) {
        self.lives += 1;
        let process = Process::new(&self.world, id, self.lives);
        self.world.borrow_mut().engine.note(|| format!("process {id} starts"));
        if id < self.size.relays {
            relay::simulated::start(&process);
        } else {
            consumer::simulated::start(&process);
        }
        process.poll();
        self.processes[id] = Some(process);
    }

    fn heal(&mut self) {
        {
            let mut world = self.world.borrow_mut();
            world.engine.note(|| "all is healed".to_owned());
            (world.kafka_down, world.mongo_down, world.loss) = (0, 0, 0.0);
            world.outbox_down.fill(0);
            for partition in &mut world.kafka.partitions {
                partition.down_until = 0;
            }
        }
        for id in 0..self.processes.len() {
            self.wake(id);
        }
    }
}
