//! Records that can never be stored. An unknown version, which stops its partition for good, has a test of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use wiber_model::record::{PARTITIONS, TYPE, header};
use wiber_model::{Message, NewMessage};
use wiber_tests::kafka::{self, Record};

use super::Context;
use crate::injection::{Done, Trouble};
use crate::world::World;

const DEAD_LETTERED: Duration = Duration::from_secs(120);

/// Why each record is poison, and all others flow.
const REASONS: [&str; 6] = ["not-json", "wrong-shape", "too-large", "no-key", "wrong-key", "no-type"];

/// Each is dead-lettered with its reason.
pub(super) async fn poisoned(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let count = context.draws.random_range(3..12);
    let mut expected = HashMap::new();
    for _ in 0..count {
        let reason = REASONS.choose(&mut context.draws).copied().unwrap_or(REASONS[0]);
        let mut record = record(&mut context, reason);
        record.partition = context.draws.random_range(0..PARTITIONS);
        let offset = kafka::produce(&world.stack.kafka, &world.stack.topic, &record).await;
        expected.insert((record.partition, offset), reason);
    }
    let began = Instant::now();
    loop {
        let missing = match letters(&world).await {
            Ok(found) => match check(&expected, &found)? {
                0 => break,
                missing => format!("{missing} of {count} poison records were not dead-lettered"),
            },
            // Another row may keep MongoDB away.
            Err(error) => error.to_string(),
        };
        if began.elapsed() > DEAD_LETTERED {
            return Err(format!("after {DEAD_LETTERED:?}: {missing}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let detail = format!("{count} records, dead-lettered with their reasons after {:.1?}", began.elapsed());
    Ok(Done { times: u32::try_from(count).unwrap_or(1), detail })
}

fn record(context: &mut Context, reason: &str) -> Record {
    let new = NewMessage { from_user: "a".into(), to_user: "b".into(), content: "poison".into() };
    let message = Message::accept(new, 1_758_865_780_040, context.draws.random());
    let sound = || serde_json::to_vec(&message).ok();
    let key = message.conversation().as_str().as_bytes().to_vec();
    let typed = (header::TYPE.to_owned(), TYPE.to_owned());
    let (key, value, headers) = match reason {
        "not-json" => (Some(key), Some(b"not json".to_vec()), vec![typed]),
        "wrong-shape" => (Some(key), Some(b"{}".to_vec()), vec![typed]),
        "too-large" => (Some(key), Some(vec![b' '; 300_000]), vec![typed]),
        "no-key" => (None, sound(), vec![typed]),
        "wrong-key" => (Some(b"[\"a\",\"c\"]".to_vec()), sound(), vec![typed]),
        _ => (Some(key), sound(), Vec::new()),
    };
    Record { partition: 0, offset: 0, key, value, headers: headers.into_iter().collect() }
}

async fn letters(world: &World) -> Result<Vec<Document>, mongodb::error::Error> {
    let letters = world.stack.store.collection("dead_letters");
    letters.find(doc! { "origin.topic": &world.stack.topic }).await?.try_collect().await
}

/// How many records are not dead-lettered yet; a wrong reason is an error.
fn check(expected: &HashMap<(i32, i64), &str>, letters: &[Document]) -> Result<usize, String> {
    let mut missing = expected.len();
    for letter in letters {
        let number = |name: &str| letter.get_document("origin").ok().and_then(|origin| origin.get(name).cloned());
        let partition = number("partition").and_then(|value| value.as_i32());
        let place = partition.zip(number("offset").and_then(|value| value.as_i64()));
        let Some(reason) = place.and_then(|place| expected.get(&place)) else { continue };
        missing -= 1;
        if letter.get_str("reason").ok() != Some(reason) {
            return Err(format!("a record that is {reason} was dead-lettered as {letter}"));
        }
    }
    Ok(missing)
}
