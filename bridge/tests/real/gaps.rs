//! Gaps of the log: noticed, told, waited out, passed.

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use wiber_bridge::store::{Gap, GapReason, Resent};
use wiber_model::Message;

use crate::harness::{OUTBOX_ID, OUTBOX_URL, Site, check_order, message, messages, site, until};

fn admin(site: &Site) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &site.kafka.bootstrap_servers).create().unwrap()
}

pub(crate) async fn gap(site: &Site, partition: i32) -> Gap {
    until("an open gap", async || {
        let gaps = site.store.open_gaps(&site.kafka.topic).await.map_err(|e| e.to_string())?;
        gaps.iter()
            .find(|g| g.partition == partition)
            .cloned()
            .ok_or_else(|| format!("{gaps:?} {:?}", site.board.notes()))
    })
    .await
}

pub(crate) async fn closed(site: &Site) {
    until("closed gaps", async || {
        let gaps = site.store.open_gaps(&site.kafka.topic).await.map_err(|e| e.to_string())?;
        if gaps.is_empty() { Ok(()) } else { Err(format!("{gaps:?}")) }
    })
    .await;
    until("no notes", async || {
        let notes = site.board.notes();
        if notes.is_empty() { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await;
}

/// What the relay does: all that is not stored, again, in order, then says so.
pub(crate) async fn resend(site: &Site, gap: &Gap, unsettled: &[Message]) {
    let from_offset = site.inspector.watermarks(gap.partition).await.unwrap().high;
    for message in unsettled {
        site.produce(message, 0).await;
    }
    let resent = Resent { url: OUTBOX_URL.into(), outbox_id: OUTBOX_ID.into(), from_offset, run: None };
    site.store.mark_resent(gap, &resent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_above_the_committed_offset_is_a_gap() {
    let site = site("logstart").await;
    let sent = messages("alice", "bob", 30);
    let running = site.consume();
    let mut partition = 0;
    for (position, message) in (0..).zip(&sent[..10]) {
        (partition, _) = site.produce(message, position).await;
    }
    site.conversation("alice", "bob", 10).await;
    running.stop().await;
    for (position, message) in (10..).zip(&sent[10..20]) {
        site.produce(message, position).await;
    }
    let mut cut = rdkafka::TopicPartitionList::new();
    cut.add_partition_offset(&site.kafka.topic, partition, rdkafka::Offset::Offset(15)).unwrap();
    admin(&site).delete_records(&cut, &AdminOptions::new()).await.unwrap();

    let running = site.consume();
    let gap = gap(&site, partition).await;
    assert_eq!((gap.reason, gap.resume_at, gap.records, gap.resumed), (GapReason::LogStart, 15, 5, false));
    site.note("waiting for http://127.0.0.1:1/ to send again").await;
    // Sent while the gap is open, before the outbox repeats it and all that is lost.
    for (position, message) in (20..).zip(&sent[20..25]) {
        site.produce(message, position).await;
    }
    resend(&site, &gap, &sent[10..25]).await;
    for (position, message) in (25..).zip(&sent[25..]) {
        site.produce(message, position).await;
    }
    check_order(&site.conversation("alice", "bob", 30).await, &sent);
    closed(&site).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_a_gap_of_every_partition() {
    let site = site("anew").await;
    let sent = messages("alice", "bob", 30);
    let running = site.consume();
    let (partition, _) = site.produce(&sent[0], 0).await;
    site.conversation("alice", "bob", 1).await;
    let (admin, options) = (admin(&site), AdminOptions::new());
    admin.delete_topics(&[&site.kafka.topic], &options).await.unwrap();
    until("the topic's end", async || match site.inspector.describe(&site.kafka.topic).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let anew = NewTopic::new(&site.kafka.topic, 12, TopicReplication::Fixed(1));
    admin.create_topics(&[anew], &options).await.unwrap();
    // More than there was, and at once, so that the old position lies within the new log when the consumer comes to it.
    join_all(sent[1..25].iter().map(|message| site.produce(message, 0))).await;
    let gap = gap(&site, partition).await;
    assert_eq!((gap.reason, gap.resume_at), (GapReason::Recreated, 0));
    let gaps = until("a gap of each partition", async || {
        let gaps = site.store.open_gaps(&site.kafka.topic).await.map_err(|e| e.to_string())?;
        if gaps.len() == 12 { Ok(gaps) } else { Err(format!("{gaps:?}")) }
    })
    .await;
    for gap in &gaps {
        let unsettled = if gap.partition == partition { &sent[1..25] } else { &[] };
        resend(&site, gap, unsettled).await;
    }
    for (position, message) in (25..).zip(&sent[25..]) {
        site.produce(message, position).await;
    }
    check_order(&site.conversation("alice", "bob", 30).await, &sent);
    closed(&site).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_survives_its_consumer() {
    let site = site("survives").await;
    let running = site.consume();
    let (partition, _) = site.produce(&message("alice", "bob", "one"), 1).await;
    site.conversation("alice", "bob", 1).await;
    running.stop().await;
    site.produce(&message("alice", "bob", "two"), 2).await;
    let lost = message("alice", "bob", "three");
    site.produce(&lost, 3).await;
    let mut cut = rdkafka::TopicPartitionList::new();
    cut.add_partition_offset(&site.kafka.topic, partition, rdkafka::Offset::Offset(3)).unwrap();
    admin(&site).delete_records(&cut, &AdminOptions::new()).await.unwrap();
    let running = site.consume();
    let gap = gap(&site, partition).await;
    running.crash().await;
    resend(&site, &gap, std::slice::from_ref(&lost)).await;
    let running = site.consume();
    let stored = site.conversation("alice", "bob", 2).await;
    assert_eq!(stored[1].message, lost);
    closed(&site).await;
    running.stop().await;
}
