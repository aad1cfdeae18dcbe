//! Kafka to MongoDB: order, repeats, poison, rebalances, restarts.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::{JoinHandle, spawn_blocking};
use wiber_bridge::kafka::client_config;
use wiber_model::Message;
use wiber_model::outbox::RowRef;
use wiber_model::query::MessageState;
use wiber_model::record::{TYPE, header};

use crate::harness::{OUTBOX_ID, Site, check_order, message, messages, site, until};

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_stored_once_in_log_order() {
    let site = site("order").await;
    let sent = messages("alice", "bob", 300);
    for (position, message) in (1..).zip(&sent[..150]) {
        site.produce(message, position).await;
    }
    let running = site.consume();
    for (position, message) in (151..).zip(&sent[150..]) {
        site.produce(message, position).await;
        // Now and then the relay sends a run again.
        if position % 50 == 0 {
            for repeat in &sent[100..120] {
                site.produce(repeat, 0).await;
            }
        }
    }
    check_order(&site.conversation("alice", "bob", 300).await, &sent);
    running.stop().await;
    assert_eq!(site.store.dead_letter_count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_message_is_stored_at_once() {
    let site = site("latency").await;
    let running = site.consume();
    site.produce(&message("alice", "bob", "the first"), 0).await;
    site.conversation("alice", "bob", 1).await;
    let mut millis = Vec::new();
    for n in 1..40 {
        let sent = message("alice", "bob", "hello");
        let (partition, offset) = site.produce(&sent, n).await;
        let begun = Instant::now();
        while site.store.message(sent.message_id.as_str()).await.unwrap().is_none() {
            assert!(begun.elapsed().as_secs() < 10, "{partition} {offset}");
        }
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    let median = millis[millis.len() / 2];
    println!("acknowledged to readable: median {median:.1} ms, longest {:.1} ms", millis[millis.len() - 1]);
    assert!(median < 50.0, "{millis:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_anywhere_repeats_nothing() {
    let site = site("crash").await;
    let sent = messages("alice", "bob", 400);
    let mut running = site.consume();
    for (position, message) in (0..).zip(&sent) {
        site.produce(message, position).await;
        if position % 80 == 79 {
            running.crash().await;
            running = site.consume();
        }
    }
    check_order(&site.conversation("alice", "bob", 400).await, &sent);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_come_and_go() {
    let site = site("rebalance").await;
    let pairs: Vec<(String, Vec<Message>)> = (0..24)
        .map(|n| {
            let user = format!("user{n}");
            let sent = messages("alice", &user, 60);
            (user, sent)
        })
        .collect();
    let produce = async {
        for position in 0..60 {
            join_all(pairs.iter().map(|(_, sent)| site.produce(&sent[position], 0))).await;
        }
    };
    let churn = async {
        let first = site.consume();
        until("the first message", async || {
            let stored = crate::harness::read_all(&site.store, "alice", "user0").await.len();
            if stored > 0 { Ok(()) } else { Err(stored) }
        })
        .await;
        let second = site.consume();
        let third = site.consume();
        until("a share for each", async || {
            let owned = site.metrics.partitions_assigned.get();
            if (1..12).contains(&owned) { Ok(()) } else { Err(owned) }
        })
        .await;
        first.stop().await;
        second.crash().await;
        third
    };
    let ((), last) = tokio::join!(produce, churn);
    for (user, sent) in &pairs {
        check_order(&site.conversation("alice", user, sent.len()).await, sent);
    }
    last.stop().await;
}

/// A dead letter: reason, origin offset and value.
type Letter = (String, String, Option<String>);

async fn dead_letters(site: &Site, count: usize) -> Vec<Letter> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &site.kafka.bootstrap_servers)
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut all = rdkafka::TopicPartitionList::new();
    all.add_partition_range(&site.kafka.dead_letter_topic(), 0, 11);
    all.set_all_offsets(rdkafka::Offset::Beginning).unwrap();
    reader.assign(&all).unwrap();
    let mut found = Vec::new();
    until("the dead letters", async || {
        while let Some(read) = reader.poll(std::time::Duration::from_millis(10)) {
            let Ok(record) = read else { continue };
            let headers = record.headers().unwrap().detach();
            let text = |name: &str| {
                let value = headers.iter().find(|h| h.key == name).and_then(|h| h.value).unwrap_or_default();
                String::from_utf8_lossy(value).into_owned()
            };
            let value = record.payload().map(|v| String::from_utf8_lossy(v).into_owned());
            found.push((text(header::REASON), text(header::ORIGIN_OFFSET), value));
        }
        if found.len() >= count { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_dead_lettered_and_the_rest_flows() {
    let site = site("poison").await;
    let running = site.consume();
    let (first, last) = (message("alice", "bob", "first"), message("alice", "bob", "last"));
    let key = first.conversation();
    let key = Some(key.as_str());
    let typed = [(header::TYPE, TYPE)];
    site.produce(&first, 1).await;
    let (_, not_json) = site.produce_raw(key, Some("hello"), &typed).await;
    let (_, no_type) = site.produce_raw(key, Some("{}"), &[]).await;
    let wrong_key = message("alice", "carol", "elsewhere");
    let value = serde_json::to_string(&wrong_key).unwrap();
    let (_, misplaced) = site.produce_raw(key, Some(&value), &typed).await;
    // The same id with other contents, in the same partition.
    let conflict = Message { content: "forged".into(), ..first.clone() };
    let (_, forged) = site.produce(&conflict, 2).await;
    let huge = "x".repeat(200_000);
    let (_, oversized) = site.produce_raw(key, Some(&huge), &typed).await;
    site.produce(&last, 3).await;
    check_order(&site.conversation("alice", "bob", 2).await, &[first.clone(), last]);

    let letters = dead_letters(&site, 5).await;
    let brief: Vec<(&str, String)> =
        letters.iter().map(|(reason, offset, _)| (reason.as_str(), offset.clone())).collect();
    let expected = [
        ("conflict", forged.to_string()),
        ("no-type", no_type.to_string()),
        ("not-json", not_json.to_string()),
        ("too-large", oversized.to_string()),
        ("wrong-key", misplaced.to_string()),
    ];
    assert_eq!(brief, expected);
    assert_eq!(letters[4].2.as_deref(), Some(value.as_str()));
    let state = site.store.message(wrong_key.message_id.as_str()).await.unwrap();
    assert!(matches!(&state, Some(MessageState::DeadLettered(letter)) if letter.reason == "wrong-key"), "{state:?}");
    let state = site.store.message(first.message_id.as_str()).await.unwrap();
    assert!(matches!(state, Some(MessageState::Stored { .. })), "{state:?}");
    running.stop().await;
}

/// Whether the row with this message may be freed.
async fn is_settled(site: &Site, message: &Message, position: i64) -> bool {
    let row = RowRef { position, message_id: message.message_id.clone() };
    site.store.settled(OUTBOX_ID, &[row]).await.unwrap().contains(&position)
}

async fn settled(site: &Site, message: &Message, position: i64) {
    until("a settled row", async || if is_settled(site, message, position).await { Ok(()) } else { Err("not yet") })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_only_claims_an_id_frees_no_row() {
    let site = site("claims").await;
    let running = site.consume();
    let sent = messages("alice", "bob", 3);
    let key = sent[0].conversation();
    let foreign = async |message: &Message, value: &str| {
        let headers = [(header::TYPE, TYPE), (header::ID, message.message_id.as_str())];
        site.produce_raw(Some(key.as_str()), Some(value), &headers).await;
    };
    // Poison, another message and the same message under the ids of accepted ones, and then one that flows.
    foreign(&sent[0], "hello").await;
    let other = Message { content: "forged".into(), ..sent[1].clone() };
    foreign(&other, &serde_json::to_string(&other).unwrap()).await;
    foreign(&sent[2], &serde_json::to_string(&sent[2]).unwrap()).await;
    site.conversation("alice", "bob", 2).await;
    for (position, message) in (1..).zip(&sent) {
        assert!(!is_settled(&site, message, position).await, "row {position} was freed by a record of nobody's");
    }
    for (position, message) in (1..).zip(&sent) {
        site.produce(message, position).await;
    }
    for (position, message) in (1..).zip(&sent) {
        settled(&site, message, position).await;
        assert!(!is_settled(&site, message, position + 1).await);
    }
    check_order(&site.conversation("alice", "bob", 3).await, &[other.clone(), sent[2].clone(), sent[0].clone()]);
    let letters = dead_letters(&site, 2).await;
    let reasons: Vec<&str> = letters.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert_eq!(reasons, ["conflict", "not-json"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_version_stops_its_partition_only() {
    let site = site("version").await;
    let running = site.consume();
    let before = message("alice", "bob", "before");
    site.produce(&before, 1).await;
    let key = before.conversation();
    site.produce_raw(Some(key.as_str()), Some("{}"), &[(header::TYPE, "wiber.message.sent.v2")]).await;
    site.produce(&message("alice", "bob", "behind"), 2).await;
    let note = site.note("wiber.message.sent.v2").await;
    assert!(note.contains("is stopped at offset"), "{note}");
    // Twenty users cannot all share that partition.
    let users: Vec<String> = (0..20).map(|n| format!("user{n}")).collect();
    for user in &users {
        site.produce(&message("alice", user, "hello"), 3).await;
    }
    let counted = async |user: &String| crate::harness::read_all(&site.store, "alice", user).await.len();
    until("the other partitions", async || {
        let stored: usize = join_all(users.iter().map(counted)).await.into_iter().sum();
        if stored >= 10 { Ok(()) } else { Err(stored) }
    })
    .await;
    assert_eq!(site.conversation("alice", "bob", 1).await.len(), 1);
    running.stop().await;
    assert!(site.board.notes().is_empty(), "{:?}", site.board.notes());
    // The committed offset stands before the record, so that a newer program finds it.
    let committed = site.inspector.committed().await.unwrap();
    let lag = site
        .inspector
        .all_watermarks()
        .await
        .unwrap()
        .iter()
        .zip(&committed)
        .map(|(w, c)| w.high - c.map_or(0, |committed| committed.offset))
        .max();
    assert!(lag.is_some_and(|lag| lag >= 2), "{committed:?}");
    // Else nobody could tell that the log was cut below it.
    let mut read = committed.iter().flatten().filter(|committed| committed.offset > 0);
    assert!(read.all(|committed| committed.epoch.is_some()), "{committed:?}");
}

/// A member of a group whose question about the topic comes back empty, as while nobody may read it.
struct Blind {
    stop: oneshot::Sender<()>,
    polling: JoinHandle<()>,
}

impl Blind {
    /// Leads the site's group, under a name of its own if it has one.
    async fn lead(site: &Site, instance_id: Option<&str>) -> Self {
        let mut settings = client_config(&site.kafka);
        settings
            .set("group.id", &site.kafka.consumer_group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", site.kafka.session_timeout_ms.to_string())
            .set("topic.blacklist", format!("^{}$", site.kafka.topic));
        if let Some(instance_id) = instance_id {
            settings.set("group.instance.id", instance_id);
        }
        let member: BaseConsumer = settings.create().unwrap();
        // It would not join for a topic that it cannot see.
        member.subscribe(&[&site.inspector.dead_letter_topic()]).unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let polling = spawn_blocking(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                let _ = member.poll(Duration::from_millis(50));
            }
        });
        members(site, &[0]).await;
        Self { stop, polling }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.polling.await.unwrap();
    }
}

/// Waits until the group has settled with members that have so many partitions.
async fn members(site: &Site, partitions: &[usize]) {
    until("the group", async || match site.inspector.shares().await {
        Ok(Some(shares)) if shares.iter().map(Vec::len).eq(partitions.iter().copied()) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_the_groups_leader_forgot_are_noticed() {
    let site = site("forgotten").await;
    let leader = Blind::lead(&site, None).await;
    let running = site.consume();
    let note = site.note("joins its group anew").await;
    assert!(note.contains("partitions [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] belonged to nobody"), "{note}");
    leader.end().await;
    let sent = message("alice", "bob", "hello");
    site.produce(&sent, 1).await;
    check_order(&site.conversation("alice", "bob", 1).await, &[sent]);
    members(&site, &[12]).await;
    running.stop().await;
}

/// Nobody leaves the group in Kafka's eyes here, so nothing would ever be given out again.
#[tokio::test(flavor = "multi_thread")]
async fn static_members_stay_away_until_they_are_missed() {
    let site = site("static").await;
    let leader = Blind::lead(&site, Some("one")).await;
    let other = site.consume_as(Some("other"));
    members(&site, &[0, 0]).await;
    leader.end().await;
    let successor = site.consume_as(Some("one"));
    let sent = message("alice", "bob", "hello");
    site.produce(&sent, 1).await;
    check_order(&site.conversation("alice", "bob", 1).await, &[sent]);
    successor.stop().await;
    other.stop().await;
}
