//! `wiber verify`: silent about a sound system, and not about what was lost, changed or added behind its back.

use libtest_mimic::Trial;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json as value};
use wiber_model::record::{self, PARTITIONS, header};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{kafka, names, send, tests, wait};

use super::{command, json, run};
use crate::sample;

pub(super) fn tests() -> Vec<Trial> {
    tests![
        a_sound_system_is_clean,
        what_is_on_its_way_is_not_missing,
        what_was_changed_in_mongodb_is_found,
        records_that_are_gone_from_the_topic_are_found,
        a_topic_that_was_made_anew_lacks_what_is_stored,
        a_dead_letter_under_the_id_of_a_message_is_not_its_fate,
        what_was_published_long_after_it_was_accepted_is_looked_at,
        messages_against_the_order_of_their_outbox_are_found,
        a_replay_is_not_placed_by_the_record_that_was_dead_lettered,
        holes_are_counted_however_many_there_are,
        one_outbox_under_two_urls_is_refused,
        verify_names_what_it_cannot_reach
    ]
}

/// Sends so many messages and waits until the last is stored and freed.
async fn sent(stack: &Stack, from: &str, to: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(send::id(&stack.client.send(from, to, &format!("text {n}")).await));
    }
    for id in &ids {
        stack.client.until_state(id, "stored").await;
    }
    settled(stack).await;
    ids
}

async fn settled(stack: &Stack) {
    wait::until("an empty outbox", async || match stack.statistics().await.messages {
        0 => Ok(()),
        rows => Err(format!("{rows} rows")),
    })
    .await;
}

fn counts(report: &Value) -> [i64; 9] {
    let names =
        ["accepted", "published", "stored", "deadLettered", "inFlight", "missing", "extra", "altered", "misordered"];
    names.map(|name| report["counts"][name].as_i64().unwrap_or_else(|| panic!("no {name} in {report}")))
}

/// The findings on `id`: kind and problem.
fn findings<'a>(report: &'a Value, id: &str) -> Vec<(&'a str, &'a str)> {
    let all = report["findings"].as_array().expect("an array").iter();
    let text = |finding: &'a Value, name: &str| finding[name].as_str().unwrap_or_default();
    all.filter(|finding| finding["id"] == id).map(|f| (text(f, "kind"), text(f, "problem"))).collect()
}

async fn a_sound_system_is_clean() {
    let stack = Plan::new("verify").start().await;
    let (alice, bob) = names::pair();
    sent(&stack, &alice, &bob, 12).await;
    sent(&stack, &bob, &bob, 3).await;
    // A key that is taken takes no position.
    for _ in 0..3 {
        let call = stack.client.sending(&bob, &alice, "once").header("idempotency-key", "k");
        let _ = call.go().await.expect(200);
    }
    stack.client.readable(&alice, &bob, 13).await;
    settled(&stack).await;

    let report = json(&stack, &["verify"], 0).await;
    assert_eq!(counts(&report), [16, 16, 16, 0, 0, 0, 0, 0, 0], "{report}");
    assert_eq!((&report["clean"], &report["outboxes"][0]["accepted"]), (&value!(true), &value!(16)), "{report}");
    let report = json(&stack, &["verify", "--conversation", &bob, &alice, "--from", "-1h"], 0).await;
    assert_eq!(counts(&report)[..3], [13, 13, 13], "{report}");
    let report = json(&stack, &["verify", "--from", "-1h", "--to", "now"], 0).await;
    assert_eq!(counts(&report)[..3], [16, 16, 16], "{report}");
    let report = json(&stack, &["verify", "--to", "-1h"], 0).await;
    assert_eq!(counts(&report), [0; 9], "{report}");
    let (code, out, _) = run(command(&stack, &["verify"])).await;
    assert!(code == 0 && out.contains("stored                    16") && out.ends_with("no differences\n"), "{out}");
}

async fn what_is_on_its_way_is_not_missing() {
    let stack = Plan::new("verify-late").start().await;
    let (alice, bob) = names::pair();
    sent(&stack, &alice, &bob, 2).await;
    stack.bridge().kill().await;
    let late = send::id(&stack.client.send(&alice, &bob, "late").await);
    let report = json(&stack, &["verify"], 0).await;
    assert_eq!(counts(&report), [3, 2, 2, 0, 1, 0, 0, 0, 0], "{report}");
    let report = json(&stack, &["verify", "--grace", "0s"], 1).await;
    assert_eq!(counts(&report), [3, 2, 2, 0, 0, 1, 0, 0, 0], "{report}");
    let found = findings(&report, &late);
    assert!(found.len() == 1 && found[0].0 == "missing" && found[0].1.contains("not published"), "{report}");
    // Nothing was disturbed: the bridge goes on where it was.
    stack.bridge().start();
    stack.client.until_state(&late, "stored").await;
    settled(&stack).await;
    let report = json(&stack, &["verify", "--grace", "0s"], 0).await;
    assert_eq!(counts(&report)[..3], [3, 3, 3], "{report}");
}

async fn what_was_changed_in_mongodb_is_found() {
    let stack = Plan::new("verify-changed").start().await;
    let (alice, bob) = names::pair();
    let ids = sent(&stack, &alice, &bob, 8).await;
    let (carol, dave) = names::pair();
    let swapped = sent(&stack, &carol, &dave, 3).await;
    let messages = stack.store.collection("messages");
    let set = async |id: &str, fields: Document| {
        let changed = messages.update_one(doc! { "_id": id }, doc! { "$set": fields }).await.expect("MongoDB answers");
        assert_eq!(changed.modified_count, 1, "{id}");
    };
    messages.delete_one(doc! { "_id": &ids[2] }).await.expect("MongoDB answers");
    set(&ids[4], doc! { "content": "changed" }).await;
    set(&ids[5], doc! { "conversation": "[\"x\",\"y\"]", "seq": 1_i64 }).await;
    for (id, seq) in [(&swapped[1], 99_i64), (&swapped[2], 2), (&swapped[1], 3)] {
        set(id, doc! { "seq": seq }).await;
    }
    // One that copies all but its id and its place, and one that nothing but MongoDB would take.
    let mut added = stack.store.message(&ids[7]).await.expect("it is stored");
    let by_hand = "msg_1758865780040_00000000000000000001";
    added.insert("_id", by_hand);
    added.insert("seq", 9_i64);
    messages.insert_one(added).await.expect("MongoDB answers");
    messages.insert_one(doc! { "_id": "a note", "text": "?" }).await.expect("MongoDB answers");

    let report = json(&stack, &["verify"], 1).await;
    let check = |id: &str, kind: &str, problem: &str| {
        let found = findings(&report, id);
        assert!(found.iter().any(|(k, p)| *k == kind && p.contains(problem)), "{id} {kind} {problem}: {report:#}");
    };
    check(&ids[2], "missing", "not stored");
    check(&ids[4], "altered", "content");
    check(&ids[5], "altered", "conversation");
    check(&swapped[1], "misordered", "place 3");
    check(by_hand, "extra", "another record");
    check("a note", "extra", "shape");
    let conversation = wiber_model::Conversation::of(&alice, &bob);
    check(conversation.as_str(), "misordered", "place 3 is held by no document");
    check(conversation.as_str(), "misordered", "place 6 is held by no document");
    assert_eq!(counts(&report)[5..], [1, 2, 2, 3], "{report:#}");
    for sound in [&ids[0], &ids[7], &swapped[0]] {
        assert!(findings(&report, sound).is_empty(), "{report:#}");
    }
    // One conversation by itself: what is no longer in it is found by its id.
    let report = json(&stack, &["verify", "--conversation", &alice, &bob], 1).await;
    assert!(findings(&report, &ids[5]).iter().any(|(kind, _)| *kind == "altered"), "{report:#}");
    assert!(findings(&report, &ids[2]).iter().any(|(kind, _)| *kind == "missing"), "{report:#}");
}

async fn records_that_are_gone_from_the_topic_are_found() {
    let stack = Plan::new("verify-log").start().await;
    let (alice, bob) = names::pair();
    let ids = sent(&stack, &alice, &bob, 5).await;
    kafka::delete_records(&stack.kafka, &stack.topic).await;
    sent(&stack, &alice, &bob, 1).await;
    let report = json(&stack, &["verify"], 1).await;
    assert_eq!(counts(&report), [6, 1, 6, 0, 0, 5, 0, 0, 0], "{report:#}");
    for id in &ids {
        let found = findings(&report, id);
        assert!(found.len() == 1 && found[0].1.contains("the log begins at"), "{report:#}");
    }
    // In neither: only the outbox's count knows of it.
    let messages = stack.store.collection("messages");
    messages.delete_one(doc! { "_id": &ids[0] }).await.expect("MongoDB answers");
    let report = json(&stack, &["verify"], 1).await;
    let lost = format!("{}/#1", stack.client.base());
    assert!(findings(&report, &lost).iter().any(|(kind, _)| *kind == "missing"), "{lost}: {report:#}");
    assert_eq!(counts(&report)[0], 6, "{report:#}");
}

async fn a_topic_that_was_made_anew_lacks_what_is_stored() {
    let stack = Plan::new("verify-anew").start().await;
    let (alice, bob) = names::pair();
    let ids = sent(&stack, &alice, &bob, 4).await;
    kafka::delete(&stack.kafka, &stack.topic).await;
    kafka::create(&stack.kafka, &stack.topic, PARTITIONS).await;
    // At the first places of the same partition, where records of other messages lay; perhaps there twice.
    let new = sent(&stack, &alice, &bob, 2).await;
    let report = json(&stack, &["verify"], 1).await;
    assert_eq!(counts(&report), [6, 2, 6, 0, 0, 4, 0, 0, 0], "{report:#}");
    for id in &ids {
        let found = findings(&report, id);
        let said = |text| found[0].1.contains(text);
        let gone = found.len() == 1 && found[0].0 == "missing";
        assert!(gone && (said("begun anew") || said("the log ends at")), "{report:#}");
    }
    for id in &new {
        assert!(findings(&report, id).is_empty(), "{report:#}");
    }
}

async fn a_dead_letter_under_the_id_of_a_message_is_not_its_fate() {
    let stack = Plan::new("verify-claimed").start().await;
    let (alice, bob) = names::pair();
    let id = sent(&stack, &alice, &bob, 1).await.remove(0);
    // Anyone who may write to the topic can claim the id.
    let sound = sample::record(&sample::message(&alice, &bob, "x"));
    let headers = [(header::ID.to_owned(), id.clone()), (header::TYPE.to_owned(), record::TYPE.to_owned())].into();
    let claim = kafka::Record { key: None, headers, ..sound };
    kafka::produce(&stack.kafka, &stack.topic, &claim).await;
    wait::until("a dead letter", async || {
        let report = json(&stack, &["verify", "--grace", "1h"], 0).await;
        if report["counts"]["deadLettered"] == 1 { Ok(()) } else { Err(report.to_string()) }
    })
    .await;
    let messages = stack.store.collection("messages");
    messages.delete_one(doc! { "_id": &id }).await.expect("MongoDB answers");
    let report = json(&stack, &["verify"], 1).await;
    assert!(findings(&report, &id).iter().any(|(kind, _)| *kind == "missing"), "{report:#}");
}

async fn what_was_published_long_after_it_was_accepted_is_looked_at() {
    let stack = Plan::new("verify-outage").start().await;
    let (alice, bob) = names::pair();
    let message = sample::message(&alice, &bob, "accepted before a long outage");
    let id = message.message_id.as_str();
    kafka::produce(&stack.kafka, &stack.topic, &sample::record(&message)).await;
    stack.client.readable(&alice, &bob, 1).await;
    let line = ["verify", "--from", "2025-09-26T05:49:00Z", "--to", "2025-09-26T05:50:00Z"];
    let report = json(&stack, &line, 0).await;
    assert_eq!(counts(&report)[..3], [1, 1, 1], "{report:#}");
    let messages = stack.store.collection("messages");
    messages.delete_one(doc! { "_id": id }).await.expect("MongoDB answers");
    let report = json(&stack, &line, 1).await;
    assert!(findings(&report, id).iter().any(|(kind, _)| *kind == "missing"), "{report:#}");
}

/// As an outbox's relay that takes rows in the wrong order would leave them.
async fn messages_against_the_order_of_their_outbox_are_found() {
    let stack = Plan::new("verify-order").start().await;
    let (alice, bob) = names::pair();
    let mut ids = Vec::new();
    for position in [7, 9, 8] {
        let message = sample::message(&alice, &bob, &format!("accepted at {position}"));
        let mut row = sample::record(&message);
        row.headers.insert(header::SOURCE.to_owned(), record::source("another"));
        row.headers.insert(header::SEQUENCE.to_owned(), position.to_string());
        kafka::produce(&stack.kafka, &stack.topic, &row).await;
        ids.push(message.message_id.as_str().to_owned());
    }
    // The one that is late for a reason.
    let message = sample::message(&alice, &bob, "dead-lettered at 6");
    let mut replayed = sample::record(&message);
    replayed.headers.insert(header::SOURCE.to_owned(), record::source("another"));
    replayed.headers.insert(header::SEQUENCE.to_owned(), "6".to_owned());
    replayed.headers.insert(header::REPLAYS.to_owned(), "1".to_owned());
    kafka::produce(&stack.kafka, &stack.topic, &replayed).await;
    stack.client.readable(&alice, &bob, 4).await;
    let report = json(&stack, &["verify"], 1).await;
    let found = findings(&report, &ids[2]);
    assert!(found.len() == 1 && found[0].0 == "misordered" && found[0].1.contains("at position 8"), "{report:#}");
    assert_eq!(counts(&report)[5..], [0, 0, 0, 1], "{report:#}");
}

/// A record that an older program took for poison, and that was replayed once a newer one reads it.
async fn a_replay_is_not_placed_by_the_record_that_was_dead_lettered() {
    let stack = Plan::new("verify-replayed").start().await;
    let (alice, bob) = names::pair();
    let contents = ["poison once", "second", "third"];
    let all = contents.map(|content| sample::message(&alice, &bob, content));
    for message in &all {
        kafka::produce(&stack.kafka, &stack.topic, &sample::record(message)).await;
    }
    let mut replayed = sample::record(&all[0]);
    replayed.headers.insert(header::REPLAYS.to_owned(), "1".to_owned());
    let offset = kafka::produce(&stack.kafka, &stack.topic, &replayed).await;
    stack.client.readable(&alice, &bob, 3).await;
    json(&stack, &["verify"], 0).await;
    // As it is where only the replay was stored.
    let messages = stack.store.collection("messages");
    for (index, seq, log_offset) in [(0, 4, Some(offset)), (1, 1, None), (2, 2, None), (0, 3, None)] {
        let mut change = doc! { "seq": seq as i64 };
        if let Some(offset) = log_offset {
            change.insert("log.offset", offset);
        }
        let id = all[index].message_id.as_str();
        messages.update_one(doc! { "_id": id }, doc! { "$set": change }).await.expect("MongoDB answers");
    }
    json(&stack, &["verify"], 0).await;
}

async fn holes_are_counted_however_many_there_are() {
    const HOLES: i64 = 1_100;
    let stack = Plan::new("verify-holes").start().await;
    let (alice, bob) = names::pair();
    let id = sent(&stack, &alice, &bob, 1).await.remove(0);
    let one = stack.store.message(&id).await.expect("it is stored");
    let by_hand = |index: i64| {
        let mut document = one.clone();
        document.insert("_id", format!("msg_1758865780040_{index:020}"));
        document.insert("seq", 1 + 2 * index);
        document
    };
    let messages = stack.store.collection("messages");
    messages.insert_many((1..=HOLES).map(by_hand)).await.expect("MongoDB answers");
    let report = json(&stack, &["verify"], 1).await;
    assert_eq!(counts(&report)[8], HOLES, "{}", report["counts"]);
}

async fn one_outbox_under_two_urls_is_refused() {
    let stack = Plan::new("verify-twice").start().await;
    let (base, other) = (stack.client.base(), stack.client.base().replace("127.0.0.1", "localhost"));
    let mut command = command(&stack, &["verify"]);
    command.env("WIBER_OUTBOX_URLS", format!("{base},{other}"));
    let (code, out, errors) = run(command).await;
    let names_both = errors.contains(base) && errors.contains(&other) && errors.contains("WIBER_OUTBOX_URLS");
    assert!(code == 2 && out.is_empty() && names_both, "{code} {out} {errors}");
}

async fn verify_names_what_it_cannot_reach() {
    let stack = Plan::new("verify-down").bridges(0).start_unready().await;
    let refused = async |name: &str, value: &str, said: &str| {
        let mut command = command(&stack, &["verify"]);
        command.env(name, value);
        let (code, out, errors) = run(command).await;
        assert!(code == 2 && out.is_empty() && errors.contains(said), "{code} {out} {errors}");
    };
    refused("WIBER_OUTBOX_TOKEN", "wrong", "WIBER_OUTBOX_TOKEN").await;
    refused("WIBER_OUTBOX_URLS", "http://127.0.0.1:9", "http://127.0.0.1:9").await;
    refused("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9", "127.0.0.1:9 (KAFKA_BOOTSTRAP_SERVERS").await;
    refused("MONGO_URI", "mongodb://127.0.0.1:9", "MONGO_URI").await;
    refused("KAFKA_TOPIC", "a b", "KAFKA_TOPIC").await;
}
