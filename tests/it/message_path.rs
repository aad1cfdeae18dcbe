//! The path of a message: accepted, published, stored, freed, readable, each in the shape of the contract.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mongodb::bson::{Bson, Document};
use serde_json::Value;
use wiber_model::Conversation;
use wiber_model::record::{self, header};
use wiber_tests::host::Host;
use wiber_tests::kafka::Record;
use wiber_tests::site::{Place, Site};
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, send, shape, tests_on, wait};

pub(crate) fn tests(host: Host) -> Vec<Trial> {
    tests_on![host; a_message_takes_its_whole_path, a_message_is_readable_within_100_ms, names_of_one_user_stand_once]
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn shared(host: Host) -> (Site, std::sync::Arc<Stack>) {
    let site = Place::Own(host).site().await;
    let stack = site.stack.clone().expect("the harness started it");
    (site, stack)
}

async fn a_message_takes_its_whole_path(host: Host) {
    let stack = Plan::new("path").host(host).start().await;
    let (alice, bob) = names::pair();
    let call = stack.client.sending(&alice, &bob, "Hello, \u{1F600}!\n");
    let call = call.header("x-request-id", "path-test.1").header("traceparent", TRACEPARENT);
    let answer = call.go().await.expect(200);
    assert_eq!(answer.header("x-request-id"), Some("path-test.1"));
    let message = answer.json();
    shape::check_accepted(&message, &alice, &bob, "Hello, \u{1F600}!\n");

    let id = send::id(&message);
    let state = stack.client.until_state(&id, "stored").await;
    let read = stack.client.readable(&alice, &bob, 1).await.remove(0);
    let expected = shape::at_place(&message, 1);
    assert_eq!(read, expected, "a message read back is the one accepted, with its place");
    assert_eq!(shape::without_ledger(&state), expected);

    let records = stack.records().await;
    assert_eq!(records.len(), 1, "{records:?}");
    check_record(&records[0], &message, &alice, &bob);
    let document = stack.store.message(&id).await.expect("it is stored");
    check_document(&document, &message, &alice, &bob, &records[0]);
    wait::until("the row's end", async || {
        let statistics = stack.statistics().await;
        let freed = statistics.messages == 0 && statistics.accepted_total == 1 && statistics.oldest_age_ms == 0;
        if freed { Ok(()) } else { Err(format!("{statistics:?}")) }
    })
    .await;
}

/// The record: key, value, CloudEvents headers (design §4).
fn check_record(record: &Record, message: &Value, one: &str, other: &str) {
    let key = Conversation::of(one, other);
    assert_eq!(record.key.as_deref(), Some(key.as_str().as_bytes()));
    assert_eq!(record.partition, wiber_model::partition_of(key.as_str().as_bytes()));
    let value: Value = serde_json::from_slice(record.value.as_deref().unwrap_or_default()).expect("JSON");
    assert_eq!(&value, message, "the record's value is the message");
    let expected = [
        (header::SPEC_VERSION, "1.0"),
        (header::ID, message["messageId"].as_str().unwrap_or_default()),
        (header::TYPE, record::TYPE),
        (header::TIME, message["createdAt"].as_str().unwrap_or_default()),
        (header::CONTENT_TYPE, "application/json"),
        (header::TRACEPARENT, TRACEPARENT),
        (header::REQUEST_ID, "path-test.1"),
        (header::SEQUENCE, "1"),
    ];
    for (name, value) in expected {
        assert_eq!(record.header(name), Some(value), "header {name} of {record:?}");
    }
    assert!(record.header(header::SOURCE).and_then(record::outbox_of).is_some_and(|id| !id.is_empty()), "{record:?}");
}

/// The document (design §5).
fn check_document(document: &Document, message: &Value, one: &str, other: &str, record: &Record) {
    let text = |name: &str| document.get_str(name).unwrap_or_default().to_owned();
    assert_eq!(text("conversation"), Conversation::of(one, other).as_str());
    assert_eq!(document.get_i64("seq").ok(), Some(1), "{document}");
    for name in ["fromUser", "toUser", "content", "createdAt"] {
        assert_eq!(
            document.get(name),
            Some(&Bson::from(message[name].as_str().unwrap_or_default())),
            "{name} of {document}"
        );
    }
    let timestamp = message["timestamp"].as_i64().unwrap_or_default();
    assert_eq!(document.get_i64("timestamp").ok(), Some(timestamp), "{document}");
    let participants: BTreeSet<&str> =
        document.get_array("participants").expect("an array").iter().filter_map(Bson::as_str).collect();
    assert_eq!(participants, BTreeSet::from([one, other]));
    let log = document.get_document("log").expect("where it lies in Kafka");
    let number = |document: &Document, name: &str| {
        let value = document.get(name);
        value
            .and_then(|v| v.as_i64().or_else(|| v.as_i32().map(i64::from)))
            .unwrap_or_else(|| panic!("no {name} in {document}"))
    };
    assert_eq!((number(log, "partition"), number(log, "offset")), (record.partition.into(), record.offset));
    let hops = document.get_document("hops").expect("when it passed");
    let [accepted, published, stored] = ["acceptedAt", "publishedAt", "storedAt"].map(|name| number(hops, name));
    assert_eq!(accepted, timestamp);
    assert!(accepted <= published && published <= stored, "{hops}");
    assert!(document.get("trace").is_some_and(|trace| trace.to_string().contains(TRACEPARENT)), "{document}");
}

/// The best of many: a test machine has other work too, and only a lower bound can be told from it.
async fn a_message_is_readable_within_100_ms(host: Host) {
    let (site, _) = shared(host).await;
    let (alice, bob) = names::pair();
    let mut best = Duration::MAX;
    for count in 1..=20 {
        site.client.send(&alice, &bob, "soon").await;
        let sent = Instant::now();
        site.client.readable(&alice, &bob, count).await;
        best = best.min(sent.elapsed());
    }
    println!("readable after {best:?} at best");
    assert!(best < Duration::from_millis(100), "the quickest of twenty messages took {best:?}");
}

async fn names_of_one_user_stand_once(host: Host) {
    let (site, stack) = shared(host).await;
    let alice = names::unique("alice");
    let id = send::id(&site.client.send(&alice, &alice, "note to self").await);
    site.client.until_state(&id, "stored").await;
    let document = stack.store.message(&id).await.expect("it is stored");
    let participants = document.get_array("participants").expect("an array");
    assert_eq!(participants, &vec![Bson::from(alice.as_str())]);
    assert_eq!(document.get_str("conversation").ok(), Some(Conversation::of(&alice, &alice).as_str()));
}
