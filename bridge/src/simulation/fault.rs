//! What goes wrong, and when.

use wiber_model::record::{Decoded, Poison};
use wiber_model::{Message, MessageId};

use super::check;
use super::engine::Ms;
use super::kafka::Record;
use super::world::{Command, Watched, World};

/// Plans one fault at this time of the future.
pub(crate) fn plan(world: &mut World, at: Ms, processes: usize) {
    let kind = world.engine.between(0, 17);
    let process = world.engine.index(processes);
    world.engine.after(at, None, move |world| inject(world, kind, process));
}

fn inject(world: &mut World, kind: u64, process: usize) {
    match kind {
        0..=2 => {
            let wait = world.engine.between(50, 4_000);
            world.engine.note(|| format!("FAULT process {process} crashes for {wait} ms"));
            world.commands.push(Command::Crash(process, wait));
        }
        3..=4 => pause(world, process),
        5 => {
            world.kafka_down = down(world, "Kafka");
        }
        6 => {
            let partition = world.engine.index(world.kafka.partitions.len());
            world.kafka.partitions[partition].down_until = down(world, "a partition");
        }
        7 => {
            world.mongo_down = down(world, "MongoDB");
        }
        8 => {
            let outbox = world.engine.index(world.outboxes.len());
            world.outbox_down[outbox] = down(world, "an outbox");
        }
        9 => fail_over(world),
        10 => lag(world),
        11 => break_producer(world),
        12 => lose_end(world),
        13 => recreate(world),
        14 => poison(world),
        15..=16 => {
            world.engine.note(|| format!("FAULT process {process} is asked to end"));
            world.commands.push(Command::Stop(process));
        }
        _ => {
            let outbox = world.engine.index(world.outboxes.len());
            let jump = i64::try_from(world.engine.between(0, 200_000)).unwrap() - 100_000;
            world.engine.note(|| format!("FAULT the clock of outbox {outbox} jumps by {jump} ms"));
            world.outboxes[outbox].skew += jump;
        }
    }
}

fn down(world: &mut World, what: &str) -> Ms {
    let wait = world.engine.between(100, 8_000);
    world.engine.note(|| format!("FAULT {what} is down for {wait} ms"));
    world.engine.now + wait
}

fn fail_over(world: &mut World) {
    world.engine.note(|| "FAULT MongoDB fails over".to_owned());
    if world.mongo.fail_over() {
        world.engine.met.insert("a fail-over took writes back");
    }
    check::places(world);
}

/// MongoDB's primary is alone for a while, and mostly loses its place then.
fn lag(world: &mut World) {
    let wait = world.engine.between(200, 5_000);
    world.engine.note(|| format!("FAULT MongoDB has no majority for {wait} ms"));
    world.mongo_lags = world.engine.now + wait;
    if world.engine.chance(0.7) {
        world.engine.after(wait, None, fail_over);
    }
}

fn pause(world: &mut World, process: usize) {
    let wait = world.engine.between(100, 15_000);
    world.engine.note(|| format!("FAULT process {process} stands still for {wait} ms"));
    world.commands.push(Command::Pause(process));
    world.engine.after(wait, None, move |world| world.commands.push(Command::Wake(process)));
}

fn break_producer(world: &mut World) {
    let producers = world.kafka.producers();
    if producers.is_empty() {
        return;
    }
    let producer = producers[world.engine.index(producers.len())];
    world.engine.note(|| format!("FAULT producer {producer} fails"));
    fail(world, producer);
}

fn fail(world: &mut World, producer: u64) {
    if world.kafka.is_current(producer) {
        for (partition, records) in world.kafka.in_hand(producer).into_iter().enumerate() {
            world.append_late(partition, records);
        }
    }
    world.kafka.break_producer(producer);
    if let Some(process) = world.kafka.producer_process(producer) {
        world.engine.wake(1, process);
    }
}

/// A broker that lost the end of its log has mostly lost what it knew of the producers too.
fn lose_end(world: &mut World) {
    let partition = world.engine.index(world.kafka.partitions.len());
    let records = world.kafka.partitions[partition].records.len();
    if records == 0 {
        return;
    }
    let lost = 1 + world.engine.index(records.min(6));
    world.engine.note(|| format!("FAULT partition {partition} loses its last {lost} of {records} records"));
    world.kafka.cut(partition, records - lost);
    world.checker.cut(partition);
    for producer in world.kafka.producers() {
        if world.engine.chance(0.7) {
            fail(world, producer);
        }
    }
    world.changed(Watched::Partition(partition));
}

fn recreate(world: &mut World) {
    world.engine.note(|| "FAULT the topic is made anew".to_owned());
    world.kafka.recreate();
    world.checker.unrecorded |= world.mongo.majority.topic.is_none();
    for partition in 0..world.kafka.partitions.len() {
        world.checker.lost(partition);
        world.changed(Watched::Partition(partition));
    }
    for producer in world.kafka.producers() {
        fail(world, producer);
    }
}

/// A stranger writes into the topic: nonsense, or a message under an id that an outbox gave to another.
fn poison(world: &mut World) {
    let accepted = world.checker.accepted();
    let (partition, record) = if accepted > 0 && world.engine.chance(0.3) {
        let index = world.engine.index(accepted);
        let Some(message) = world.checker.an_accepted(index) else { return };
        world.checker.claim(message.message_id.clone());
        let forged = Message { content: "forged".to_owned(), ..message };
        let partition = super::scenario::partition(&forged, world.kafka.partitions.len());
        (
            partition,
            Record { id: Some(forged.message_id.clone()), decoded: Decoded::Message(forged), row: None, run: None },
        )
    } else {
        let decoded = Decoded::Poison(Poison::NotJson, "nonsense".to_owned());
        (
            world.engine.index(world.kafka.partitions.len()),
            Record { decoded, row: None, run: None, id: None::<MessageId> },
        )
    };
    world.engine.note(|| format!("FAULT a stranger writes into partition {partition}"));
    world.kafka.append(partition, record);
    world.changed(Watched::Partition(partition));
}
