//! `wiber dead-letters`: what could not be stored is listed, shown, and sent again, once it can be.

use std::collections::BTreeSet;

use libtest_mimic::Trial;
use mongodb::bson::doc;
use serde_json::{Value, json as value};
use wiber_model::Message;
use wiber_model::record::{self, PARTITIONS, header};
use wiber_tests::kafka::{self, Record};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, send, tests, wait};

use super::{command, json, run};
use crate::sample::{message, record};

pub(super) fn tests() -> Vec<Trial> {
    tests![
        a_letter_is_shown_and_waits_again_if_it_is_still_poison,
        a_letter_that_can_be_stored_now_is_stored_once,
        a_replay_that_kafka_lost_is_named,
        a_replay_of_another_content_that_kafka_lost_is_named,
        letters_of_one_place_in_two_topics_of_one_name_are_kept_apart
    ]
}

/// The letters that `list` tells, once `expected` accepts them.
async fn listed(stack: &Stack, line: &[&str], expected: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait::until("the dead letters", async || {
        let told = json(stack, &[&["dead-letters", "list"], line].concat(), 0).await;
        let letters = told["deadLetters"].as_array().expect("an array").clone();
        if expected(&letters) { Ok(letters) } else { Err(told.to_string()) }
    })
    .await
}

async fn a_letter_is_shown_and_waits_again_if_it_is_still_poison() {
    let stack = Plan::new("letters").start().await;
    let (alice, bob) = names::pair();
    let poison = message(&alice, &bob, "no key");
    let id = poison.message_id.as_str();
    let no_key = Record { key: None, ..record(&poison) };
    let offset = kafka::produce(&stack.kafka, &stack.topic, &no_key).await;
    let garbage = Record { key: None, value: Some(vec![0xff, 0]), headers: Default::default(), ..record(&poison) };
    let garbage_offset = kafka::produce(&stack.kafka, &stack.topic, &garbage).await;

    let letters = listed(&stack, &[], |letters| letters.len() == 2).await;
    let letter = letters.iter().find(|letter| letter["id"] == id).expect("it is listed under its message");
    assert_eq!((&letter["state"], &letter["replays"]), (&value!("waiting"), &value!(0)), "{letter}");
    let origin = value!({ "topic": stack.topic, "partition": no_key.partition, "offset": offset });
    assert_eq!((&letter["reason"], &letter["origin"]), (&value!("no-key"), &origin), "{letter}");
    assert_eq!(listed(&stack, &["--reason", "no-type"], |_| true).await.len(), 1);
    assert!(listed(&stack, &["--to", "-1h"], |_| true).await.is_empty());

    let (code, out, _) = run(command(&stack, &["dead-letters", "show", id])).await;
    for part in [id, "no-key", "header ce_id", "header x-request-id  r-1", r#""content":"no key""#] {
        assert!(code == 0 && out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains(header::ORIGIN_OFFSET), "{out}");
    let place = format!("{}/{}/{garbage_offset}", stack.topic, garbage.partition);
    let shown = json(&stack, &["dead-letters", "show", &place], 0).await;
    assert_eq!(shown["record"]["value"], "0xff00", "{shown}");
    assert_eq!(run(command(&stack, &["dead-letters", "show", "msg_1"])).await.0, 1);

    let before = stack.records().await.len();
    let told = json(&stack, &["dead-letters", "replay", "--all", "--dry-run"], 0).await;
    assert_eq!((&told["dryRun"], told["deadLetters"].as_array().map(Vec::len)), (&value!(true), Some(2)), "{told}");
    assert_eq!(stack.records().await.len(), before, "a dry run sends nothing");
    assert_eq!(run(command(&stack, &["dead-letters", "replay"])).await.0, 2, "it must be told which");
    assert_eq!(run(command(&stack, &["dead-letters", "replay", "--id", "msg_1"])).await.0, 1);

    for replays in 1..=2 {
        let told = json(&stack, &["dead-letters", "replay", "--id", id], 0).await;
        let place = &told["deadLetters"][0]["replayedTo"];
        assert!(place["offset"].is_i64(), "{told}");
        let again = |letters: &[Value]| {
            letters
                .iter()
                .any(|l| l["id"] == id && l["state"] == "waiting" && l["replays"] == replays && l["origin"] == *place)
        };
        listed(&stack, &[], again).await;
        let dead = stack.dead_records().await;
        let count = replays.to_string();
        let latest = dead.iter().filter(|record| record.header(header::REPLAYS) == Some(count.as_str()));
        assert_eq!(latest.count(), 1, "{dead:?}");
    }
    stack.readiness(200, |body| body["notes"].to_string().contains("dead letters: 2")).await;
    let metrics = stack.bridge_client(0).get("/metrics").await.expect(200);
    let waiting = "\nwiber_dead_letters_waiting 2\n";
    assert!(String::from_utf8_lossy(&metrics.body).contains(waiting), "{waiting} is missing in {metrics}");
    let state = stack.client.state(id).await.expect(200).json();
    assert_eq!(state["state"], "dead-lettered", "{state}");
    let hops: Vec<&str> = hops(&state);
    assert_eq!(hops, ["published", "dead-lettered"], "{state}");
    let report = json(&stack, &["verify", "--grace", "0s"], 0).await;
    assert_eq!(report["counts"]["deadLettered"], 2, "each record is accounted for by one of them: {report}");
}

fn hops(state: &Value) -> Vec<&str> {
    state["ledger"].as_array().expect("an array").iter().filter_map(|hop| hop["hop"].as_str()).collect()
}

/// What an earlier program would have left of a message that it could not store.
async fn dead_lettered_before(stack: &Stack, message: &Message, offset: i64) {
    let mut dead = record(message);
    let origin = [
        (header::REASON, "wrong-shape".to_owned()),
        (header::DETAIL, "why".to_owned()),
        (header::ORIGIN_TOPIC, stack.topic.clone()),
        (header::ORIGIN_PARTITION, dead.partition.to_string()),
        (header::ORIGIN_OFFSET, offset.to_string()),
    ];
    dead.headers.extend(origin.map(|(name, value)| (name.to_owned(), value)));
    let topic = format!("{}{}", stack.topic, record::DEAD_LETTER_SUFFIX);
    kafka::produce(&stack.kafka, &topic, &dead).await;
    let letter = doc! {
        "_id": message.message_id.as_str(),
        "reason": "wrong-shape",
        "detail": "why",
        "origin": { "topic": &stack.topic, "partition": dead.partition, "offset": offset },
        "at": 1_758_865_781_000_i64,
    };
    stack.store.collection("dead_letters").insert_one(letter).await.expect("MongoDB answers");
}

async fn a_letter_that_can_be_stored_now_is_stored_once() {
    let stack = Plan::new("replayed").start().await;
    let (alice, bob) = names::pair();
    stack.client.send(&alice, &bob, "first").await;
    let kept = message(&bob, &alice, "kept");
    dead_lettered_before(&stack, &kept, 1_000_000).await;
    let stored: Message = serde_json::from_value(stack.client.send(&alice, &bob, "stored").await).expect("a message");
    let stored_id = stored.message_id.as_str();
    stack.client.until_state(stored_id, "stored").await;
    dead_lettered_before(&stack, &stored, 1_000_001).await;
    let document = stack.store.message(stored_id).await.expect("it is stored");
    stack.readiness(200, |body| body["notes"].to_string().contains("dead letters: 2")).await;

    let told = json(&stack, &["dead-letters", "replay", "--reason", "wrong-shape"], 0).await;
    assert_eq!(told["deadLetters"].as_array().map(Vec::len), Some(2), "{told}");
    let state = stack.client.until_state(kept.message_id.as_str(), "stored").await;
    assert_eq!(hops(&state), ["accepted", "published", "dead-lettered", "replayed", "published", "stored"], "{state}");
    let last = send::id(&stack.client.send(&alice, &bob, "last").await);
    stack.client.until_state(&last, "stored").await;
    let read = stack.client.readable(&alice, &bob, 4).await;
    assert_eq!(send::contents(&read), ["first", "stored", "kept", "last"]);
    assert_eq!(stack.store.message(stored_id).await, Some(document), "a replay of what is stored changes nothing");

    assert!(listed(&stack, &[], |_| true).await.is_empty(), "none waits");
    let all = listed(&stack, &["--all"], |_| true).await;
    assert!(
        all.len() == 2 && all.iter().all(|letter| letter["state"] == "replayed" && letter["replays"] == 1),
        "{all:?}"
    );
    stack.readiness(200, |body| !body["notes"].to_string().contains("dead letters")).await;
    assert!(stack.dead_records().await.len() == 2, "nothing was dead-lettered again");
    let told = json(&stack, &["dead-letters", "replay", "--all"], 0).await;
    assert_eq!(told["deadLetters"], value!([]), "{told}");
    let report = json(&stack, &["verify"], 0).await;
    assert_eq!((&report["counts"]["stored"], &report["counts"]["accepted"]), (&value!(4), &value!(4)), "{report}");
}

async fn a_replay_that_kafka_lost_is_named() {
    let stack = Plan::new("replay-lost").start().await;
    let (alice, bob) = names::pair();
    let poison = message(&alice, &bob, "no key");
    let id = poison.message_id.as_str();
    kafka::produce(&stack.kafka, &stack.topic, &Record { key: None, ..record(&poison) }).await;
    listed(&stack, &[], |letters| letters.len() == 1).await;
    let report = json(&stack, &["verify", "--grace", "0s"], 0).await;
    assert_eq!(report["counts"]["deadLettered"], 1, "{report}");
    // Noted as replayed, and no such record is in the topic.
    let replayed = doc! { "$set": { "replays": 1_i64, "replayedAt": 1_758_865_782_000_i64 } };
    let letters = stack.store.collection("dead_letters");
    letters.update_one(doc! { "_id": id }, replayed.clone()).await.expect("MongoDB answers");
    // One whose first record is gone too.
    let older = message(&alice, &bob, "in no topic");
    dead_lettered_before(&stack, &older, 1_000_000).await;
    letters.update_one(doc! { "_id": older.message_id.as_str() }, replayed).await.expect("MongoDB answers");
    let report = json(&stack, &["verify"], 1).await;
    assert_eq!(lost_replays(&report), [older.message_id.as_str(), id].into(), "{report:#}");
    assert_eq!(report["counts"]["missing"], 2, "{report:#}");
}

/// The messages of which it is found that a replay was lost.
fn lost_replays(report: &Value) -> BTreeSet<&str> {
    let findings = report["findings"].as_array().expect("an array").iter();
    let lost =
        findings.filter(|found| found["problem"].as_str().is_some_and(|text| text.contains("neither stored nor")));
    lost.filter_map(|found| found["id"].as_str()).collect()
}

async fn a_replay_of_another_content_that_kafka_lost_is_named() {
    let stack = Plan::new("conflict-lost").start().await;
    let (alice, bob) = names::pair();
    let sound = message(&alice, &bob, "first");
    let id = sound.message_id.as_str();
    kafka::produce(&stack.kafka, &stack.topic, &record(&sound)).await;
    stack.client.readable(&alice, &bob, 1).await;
    let other = Message { content: "other".into(), ..sound.clone() };
    kafka::produce(&stack.kafka, &stack.topic, &record(&other)).await;
    let letters = listed(&stack, &["--reason", "conflict"], |letters| letters.len() == 1).await;
    let letter = letters[0]["id"].as_str().expect("an id");
    json(&stack, &["dead-letters", "replay", "--id", letter], 0).await;
    let again = listed(&stack, &[], |letters| letters.len() == 1 && letters[0]["replays"] == 1).await;
    json(&stack, &["verify", "--grace", "0s"], 0).await;
    let replayed = doc! { "$set": { "replays": 2_i64, "replayedAt": 1_758_865_782_000_i64 } };
    let letters = stack.store.collection("dead_letters");
    let waiting = again[0]["id"].as_str().expect("an id");
    letters.update_one(doc! { "_id": waiting }, replayed).await.expect("MongoDB answers");
    let report = json(&stack, &["verify"], 1).await;
    assert_eq!(lost_replays(&report), [id].into(), "{report:#}");
}

async fn letters_of_one_place_in_two_topics_of_one_name_are_kept_apart() {
    let stack = Plan::new("letters-anew").start().await;
    let garbage = async |value: &str| {
        let (key, headers) = (None, Default::default());
        let record = Record { partition: 3, offset: 0, key, value: Some(value.into()), headers };
        assert_eq!(kafka::produce(&stack.kafka, &stack.topic, &record).await, 0);
    };
    garbage("old").await;
    listed(&stack, &[], |letters| letters.len() == 1).await;
    kafka::delete(&stack.kafka, &stack.topic).await;
    kafka::create(&stack.kafka, &stack.topic, PARTITIONS).await;
    garbage("new").await;
    let letters = listed(&stack, &[], |letters| letters.len() == 2).await;
    assert_eq!(letters[0]["origin"], letters[1]["origin"], "{letters:?}");
    let place = format!("{}/3/0", stack.topic);
    for (letter, value) in letters.iter().zip(["old", "new"]) {
        let id = letter["id"].as_str().unwrap_or_default();
        assert!(id.starts_with(&place) && (id == place) == (value == "old"), "{letters:?}");
        let shown = json(&stack, &["dead-letters", "show", id], 0).await;
        assert_eq!(shown["record"]["value"], value, "{shown}");
    }
    let report = json(&stack, &["verify", "--grace", "0s"], 0).await;
    assert_eq!(report["counts"]["deadLettered"], 1, "only one lies in the topic: {report}");
}
