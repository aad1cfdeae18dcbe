//! Records that can never be stored: dead-lettered with their reason and origin, while all others flow.

use std::collections::HashMap;

use libtest_mimic::Trial;
use wiber_model::record::{self, Poison, VALUE_BYTES_MAX, header};
use wiber_model::{Conversation, Message};
use wiber_tests::kafka::{self, Record};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, send, tests, wait};

use crate::sample;

pub(crate) fn tests() -> Vec<Trial> {
    tests![each_reason_is_dead_lettered_and_others_flow, an_unknown_version_stops_its_partition_and_says_so]
}

/// A sound record of `message`, with every header that the relay gives one.
fn sound(message: &Message) -> Record {
    let mut record = sample::record(message);
    let more = [
        (header::SPEC_VERSION, "1.0"),
        (header::SOURCE, "/somewhere/else"),
        (header::TIME, &message.created_at),
        (header::CONTENT_TYPE, "application/json"),
    ];
    record.headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    record
}

/// One spoilt record for each reason but [`Poison::Conflict`], all in the conversation's own partition.
fn poisons(alice: &str, bob: &str) -> Vec<(Poison, Record)> {
    let fresh = || sound(&sample::message(alice, bob, "spoilt"));
    let with_value = |value: Option<Vec<u8>>| Record { value, ..fresh() };
    let with_type = |value: Option<&str>| {
        let mut record = fresh();
        record.headers.remove(header::TYPE);
        record.headers.extend(value.map(|value| (header::TYPE.to_owned(), value.to_owned())));
        record
    };
    let mut over_long = sample::message(alice, bob, "x");
    over_long.content = "x".repeat(5_001);
    let stranger = Conversation::of(alice, "stranger").as_str().as_bytes().to_vec();
    let all = vec![
        (Poison::NotJson, with_value(Some(b"hello".to_vec()))),
        (Poison::NotJson, with_value(Some(b"\xff\xfe".to_vec()))),
        (Poison::NotJson, with_value(None)),
        (Poison::WrongShape, with_value(Some(b"{}".to_vec()))),
        (Poison::WrongShape, with_value(Some(b"[1]".to_vec()))),
        (Poison::WrongShape, with_value(Some(serde_json::to_vec(&over_long).expect("JSON")))),
        (Poison::TooLarge, with_value(Some(vec![b' '; VALUE_BYTES_MAX + 1]))),
        (Poison::NoKey, Record { key: None, ..fresh() }),
        (Poison::WrongKey, Record { key: Some(stranger), ..fresh() }),
        (Poison::NoType, with_type(None)),
        (Poison::UnknownType, with_type(Some("somebody.elses.event"))),
    ];
    let reasons = all.iter().map(|(reason, _)| *reason).chain([Poison::Conflict]);
    let named: std::collections::HashSet<Poison> = reasons.collect();
    assert!(Poison::ALL.iter().all(|reason| named.contains(reason)), "a reason without a record");
    all
}

async fn each_reason_is_dead_lettered_and_others_flow() {
    let stack = Plan::new("poison").start().await;
    let (alice, bob) = names::pair();
    let first = stack.client.send(&alice, &bob, "before").await;
    stack.client.readable(&alice, &bob, 1).await;

    let mut spoilt = poisons(&alice, &bob);
    // The same id with another content, as nothing but a defect could write it.
    let mut conflict: Message = serde_json::from_value(first.clone()).expect("the answer is a message");
    conflict.content = "changed".into();
    spoilt.push((Poison::Conflict, sound(&conflict)));
    let mut origins = HashMap::new();
    for (reason, record) in &spoilt {
        let offset = kafka::produce(&stack.kafka, &stack.topic, record).await;
        origins.insert((record.partition, offset), (*reason, record.clone()));
    }
    stack.client.send(&bob, &alice, "after").await;
    let read = stack.client.readable(&alice, &bob, 2).await;
    assert_eq!(send::contents(&read), ["before", "after"]);
    assert_eq!(read.iter().map(send::seq).collect::<Vec<_>>(), [1, 2], "poison gets no seq");

    check_topic(&stack, origins).await;
    check_collection(&stack, &spoilt).await;
    // A message that was dead-lettered under an id is found by it.
    let (_, wrong_key) = spoilt.iter().find(|(reason, _)| *reason == Poison::WrongKey).expect("it is among them");
    let id = wrong_key.header(header::ID).unwrap_or_default();
    stack.client.until_state(id, "dead-lettered").await;
    let conflicting = stack.client.state(&send::id(&first)).await.expect(200).json();
    assert_eq!(conflicting["state"], "stored", "the first message stands: {conflicting}");
    let body = stack.readiness(200, |body| body["notes"].to_string().contains("dead")).await;
    assert_eq!(body["status"], "ready", "{body}");
}

/// The dead-letter topic: each record once, byte for byte, with reason and origin.
async fn check_topic(stack: &Stack, mut origins: HashMap<(i32, i64), (Poison, Record)>) {
    let expected = origins.len();
    let dead = wait::until("every dead letter in its topic", async || {
        let dead = stack.dead_records().await;
        if dead.len() >= expected { Ok(dead) } else { Err(format!("{} of {expected}", dead.len())) }
    })
    .await;
    for record in &dead {
        let number = |name: &str| record.header(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(-1);
        let origin = (i32::try_from(number(header::ORIGIN_PARTITION)).unwrap_or(-1), number(header::ORIGIN_OFFSET));
        let (reason, original) = origins.remove(&origin).unwrap_or_else(|| panic!("twice or never sent: {record:?}"));
        assert_eq!(record.header(header::REASON), Some(reason.code()), "{record:?}");
        assert_eq!(record.header(header::ORIGIN_TOPIC), Some(stack.topic.as_str()));
        assert!(record.header(header::DETAIL).is_some_and(|detail| !detail.is_empty()), "{record:?}");
        assert_eq!((&record.key, &record.value), (&original.key, &original.value), "kept byte for byte");
        for (name, value) in &original.headers {
            assert_eq!(record.header(name), Some(value.as_str()), "header {name} is kept");
        }
    }
    assert!(origins.is_empty(), "not dead-lettered: {origins:?}");
}

async fn check_collection(stack: &Stack, spoilt: &[(Poison, Record)]) {
    let letters = stack.store.dead_letters().await;
    let count =
        |reason: Poison| letters.iter().filter(|letter| letter.get_str("reason").ok() == Some(reason.code())).count();
    for reason in Poison::ALL {
        let expected = spoilt.iter().filter(|(spoilt, _)| *spoilt == reason).count();
        assert_eq!(count(reason), expected, "{reason:?} among {letters:?}");
    }
    assert_eq!(stack.store.messages().await.len(), 2);
}

async fn an_unknown_version_stops_its_partition_and_says_so() {
    let stack = Plan::new("version").start().await;
    let (alice, bob) = names::pair();
    let mut record = sound(&sample::message(&alice, &bob, "from the future"));
    record.headers.insert(header::TYPE.to_owned(), format!("{}2", record::TYPE_PREFIX));
    kafka::produce(&stack.kafka, &stack.topic, &record).await;
    // The whole words: the number alone is also in the port of a note about the outbox.
    let stopped = format!("partition {} of {} is stopped", record.partition, stack.topic);
    let body = stack.readiness_of_any_status(|body| body["notes"].to_string().contains(&stopped)).await;
    assert!(body["notes"].to_string().contains(record.headers[header::TYPE].as_str()), "{body}");

    // The partition waits, the others flow.
    let behind = send::id(&stack.client.send(&alice, &bob, "behind it").await);
    let (carol, dave) = elsewhere(record.partition);
    stack.client.send(&carol, &dave, "elsewhere").await;
    stack.client.readable(&carol, &dave, 1).await;
    stack.client.until_state(&behind, "published").await;
    assert!(stack.client.page(&alice, &bob, "").await.expect(200).array().is_empty(), "it must not be passed over");
    assert!(stack.dead_records().await.is_empty(), "it must not be dead-lettered");
    assert!(stack.store.message(&behind).await.is_none());
}

/// Two users whose conversation lies in another partition.
fn elsewhere(partition: i32) -> (String, String) {
    loop {
        let (carol, dave) = names::pair();
        let key = Conversation::of(&carol, &dave);
        if wiber_model::partition_of(key.as_str().as_bytes()) != partition {
            return (carol, dave);
        }
    }
}
