//! The relay against a real Kafka and MongoDB, and an outbox that breaks its protocol.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiber_bridge::config::Secret;
use wiber_bridge::kafka::client_config;
use wiber_bridge::kafka::lag::{self, Lag};
use wiber_bridge::relay::{self, Limits, Parts};
use wiber_bridge::store::{GapReason, NewGap};
use wiber_model::Message;
use wiber_model::record::{PARTITIONS, header, source};

use crate::harness::{Site, messages, read_all, site, until};
use crate::outbox::{Fault, Outbox};

struct Relay {
    stop: CancellationToken,
    task: JoinHandle<Result<(), relay::Error>>,
}

impl Relay {
    fn start(site: &Site, outbox: &Outbox) -> Self {
        Self::start_with(site, outbox, watch::channel(None).1)
    }

    fn start_with(site: &Site, outbox: &Outbox, lag: watch::Receiver<Option<Lag>>) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stop = CancellationToken::new();
        let parts = Parts {
            outbox_urls: vec![outbox.url.clone()],
            outbox_token: Secret::new("token"),
            instance_id: None,
            limits: Limits {
                flush: Duration::from_secs(4),
                mark: Duration::from_secs(1),
                release: Duration::from_secs(1),
            },
            inspector: site.inspector.clone(),
            store: site.store.clone(),
            board: site.board.clone(),
            metrics: site.metrics.clone(),
            lag,
        };
        Self { task: tokio::spawn(relay::run(parts, stop.clone())), stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("it ends in time").expect("it does not panic").expect("it ends well");
    }
}

struct Logged {
    partition: i32,
    offset: i64,
    id: String,
    source: String,
}

/// Every record of the topic, partition by partition.
async fn logged(site: &Site) -> Vec<Logged> {
    let ends = site.inspector.all_watermarks().await.unwrap();
    let kafka = site.kafka.clone();
    let read = move || {
        let consumer: BaseConsumer = client_config(&kafka).set("group.id", "reader").create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&kafka.topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let count: i64 = ends.iter().map(|e| e.high - e.low).sum();
        let mut records = Vec::new();
        while i64::try_from(records.len()).unwrap() < count {
            let Some(message) = consumer.poll(Duration::from_secs(30)) else { panic!("{} of {count}", records.len()) };
            let message = message.unwrap();
            let headers = message.headers().unwrap();
            let text = |name: &str| {
                let found = headers.iter().find(|h| h.key == name).and_then(|h| h.value).unwrap_or_default();
                String::from_utf8(found.to_vec()).unwrap()
            };
            records.push(Logged {
                partition: message.partition(),
                offset: message.offset(),
                id: text(header::ID),
                source: text(header::SOURCE),
            });
        }
        records.sort_by_key(|r| (r.partition, r.offset));
        records
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

async fn all_marked(outbox: &Outbox) {
    until("every row marked", async || match outbox.unmarked() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows")),
    })
    .await;
}

async fn noted(site: &Site, part: &str) {
    until("a note", async || {
        let notes = site.board.notes();
        if notes.iter().any(|n| n.contains(part)) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
}

fn check(records: &[Logged], sent: &[Message]) {
    let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
    let wanted: Vec<&str> = sent.iter().map(|m| m.message_id.as_str()).collect();
    assert_eq!(ids, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_arrive_once_in_order_although_answers_to_marks_are_lost() {
    let (site, outbox) = (site("marks").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 2_500);
    outbox.accept(&sent[..2_000]);
    outbox.contents().fault = Fault::MarkAnswers;
    let relay = Relay::start(&site, &outbox);
    until("marks without answers", async || {
        let marked = outbox.contents().rows.values().filter(|(_, marked)| *marked).count();
        if marked > 0 { Ok(()) } else { Err("none") }
    })
    .await;
    outbox.accept(&sent[2_000..]);
    outbox.contents().fault = Fault::None;
    all_marked(&outbox).await;
    let records = logged(&site).await;
    check(&records, &sent);
    assert_eq!(records[0].source, source("one"));
    relay.stop().await;
    assert_eq!(outbox.contents().holder, None, "the lease is given up");
    assert_eq!(site.store.outbox_id(outbox.url.as_str()).await.unwrap().as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_waited_out_and_told() {
    let (site, outbox) = (site("refusals").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 30);
    outbox.contents().fault = Fault::Token;
    let relay = Relay::start(&site, &outbox);
    noted(&site, "refuses the token").await;
    outbox.accept(&sent[..10]);
    outbox.contents().fault = Fault::Reads;
    outbox.accept(&sent[10..20]);
    until("no note", async || {
        let notes = site.board.notes();
        if notes.is_empty() { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
    outbox.contents().fault = Fault::None;
    outbox.accept(&sent[20..]);
    all_marked(&outbox).await;
    check(&logged(&site).await, &sent);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_holder_of_the_lease_is_waited_for() {
    let (site, outbox) = (site("lease").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 20);
    outbox.accept(&sent[..10]);
    let relay = Relay::start(&site, &outbox);
    all_marked(&outbox).await;
    outbox.contents().holder = Some("other".into());
    outbox.accept(&sent[10..]);
    until("a look at the lease", async || {
        let retries = site.metrics.render().unwrap();
        if retries.contains(r#"wiber_retries_total{operation="outbox"}"#) { Ok(()) } else { Err("none") }
    })
    .await;
    assert_eq!(outbox.unmarked(), 10);
    outbox.contents().holder = None;
    all_marked(&outbox).await;
    check(&logged(&site).await, &sent);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_told_by_the_one_that_writes_only() {
    let (site, outbox) = (site("refused").await, Outbox::start("one").await);
    let relay = Relay::start(&site, &outbox);
    until("the lease", async || if outbox.contents().holder.is_some() { Ok(()) } else { Err("nobody has it") }).await;
    let refusals = async |count: usize| {
        until("refusals", async || {
            let refusals = site.board.report().refusals;
            if refusals.len() == count { Ok(refusals) } else { Err(format!("{refusals:?}")) }
        })
        .await
    };
    outbox.contents().fault = Fault::Full;
    assert_eq!(refusals(1).await.get("one").map(String::as_str), Some("the disk is full"));
    outbox.contents().fault = Fault::None;
    refusals(0).await;
    outbox.contents().fault = Fault::Full;
    refusals(1).await;
    {
        let mut contents = outbox.contents();
        contents.fault = Fault::None;
        contents.holder = Some("another".into());
    }
    refusals(0).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_out_of_order_are_not_sent() {
    let (site, outbox) = (site("disorder").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 10);
    outbox.contents().fault = Fault::Order;
    outbox.accept(&sent);
    let relay = Relay::start(&site, &outbox);
    noted(&site, "the outbox answered position").await;
    assert!(logged(&site).await.is_empty());
    outbox.contents().fault = Fault::None;
    all_marked(&outbox).await;
    check(&logged(&site).await, &sent);
    until(
        "no note",
        async || if site.board.notes().is_empty() { Ok(()) } else { Err(format!("{:?}", site.board.notes())) },
    )
    .await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_outbox_is_told_before_it_is_drained() {
    let (site, outbox) = (site("replaced").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 20);
    outbox.accept(&sent[..10]);
    let relay = Relay::start(&site, &outbox);
    all_marked(&outbox).await;
    {
        let mut contents = outbox.contents();
        contents.id = "two".into();
        contents.rows.clear();
    }
    outbox.accept(&sent[10..]);
    all_marked(&outbox).await;
    noted(&site, "was replaced: it was one and is now two").await;
    let records = logged(&site).await;
    check(&records, &sent);
    assert_eq!(records.last().unwrap().source, source("two"));
    assert!(site.metrics.render().unwrap().contains("wiber_outbox_replaced_total{outbox="));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_makes_every_unsettled_row_come_again() {
    let (site, outbox) = (site("gap").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 10);
    outbox.accept(&sent);
    let relay = Relay::start(&site, &outbox);
    all_marked(&outbox).await;
    let partition = logged(&site).await[0].partition;
    let gap = NewGap {
        topic: site.kafka.topic.clone(),
        partition,
        reason: GapReason::Stalled,
        topic_id: "id".into(),
        resume_at: 10,
        records: 10,
        now_ms: 7,
    };
    site.store.open_gap(gap).await.unwrap();
    let resent = until("the outbox in the gap", async || {
        let gaps = site.store.open_gaps(&site.kafka.topic).await.map_err(|e| e.to_string())?;
        gaps[0].resent.first().cloned().ok_or_else(|| format!("{gaps:?}"))
    })
    .await;
    assert_eq!((resent.url.as_str(), resent.outbox_id.as_str(), resent.from_offset), (outbox.url.as_str(), "one", 10));
    check(&logged(&site).await, &[sent.clone(), sent.clone()].concat());
    let more = messages("alice", "bob", 3);
    outbox.accept(&more);
    all_marked(&outbox).await;
    check(&logged(&site).await, &[sent.clone(), sent, more].concat());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_messages_free_their_rows() {
    let (site, outbox) = (site("settle").await, Outbox::start("one").await);
    let sent = messages("alice", "bob", 1_500);
    outbox.accept(&sent);
    let (relay, consumer) = (Relay::start(&site, &outbox), site.consume());
    until("an empty outbox", async || match outbox.contents().rows.len() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows")),
    })
    .await;
    assert_eq!(site.conversation("alice", "bob", 1_500).await.len(), 1_500);
    relay.stop().await;
    consumer.stop().await;
}

/// Brokers do not fsync: the end of a log can vanish below what the group reads next, and traffic goes on over it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_kafka_lost_are_sent_again_while_traffic_goes_on() {
    let (site, outbox) = (site("forgotten").await, Outbox::start("one").await);
    let (latest, lag) = watch::channel(None);
    let stop = CancellationToken::new();
    let measuring = tokio::spawn(lag::run(site.inspector.clone(), site.metrics.clone(), latest, stop.clone()));
    let (relay, consumer) = (Relay::start_with(&site, &outbox, lag), site.consume());
    outbox.accept(&messages("alice", "bob", 1));
    all_marked(&outbox).await;
    let lost = messages("alice", "bob", 5);
    {
        let partition = logged(&site).await[0].partition;
        let mut contents = outbox.contents();
        contents.partition = partition;
        contents.accept(&lost, true);
    }
    until("the lost rows to be stored", async || {
        outbox.accept(&messages("alice", "bob", 1));
        let ids: Vec<_> = lost.iter().map(|message| &message.message_id).collect();
        let known = site.store.known(&ids).await.map_err(|e| e.to_string())?;
        if known.len() == lost.len() { Ok(()) } else { Err(format!("{} of {}", known.len(), lost.len())) }
    })
    .await;
    let stored = read_all(&site.store, "alice", "bob").await;
    let stored: Vec<&str> = stored.iter().map(|m| m.message.message_id.as_str()).collect();
    let lost: Vec<&str> = lost.iter().map(|m| m.message_id.as_str()).collect();
    assert_eq!(stored.into_iter().filter(|id| lost.contains(id)).collect::<Vec<_>>(), lost, "in their order");
    relay.stop().await;
    consumer.stop().await;
    stop.cancel();
    measuring.await.unwrap();
}
