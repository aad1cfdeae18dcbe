//! The write, its look-ups, and what survives restarts.

use std::collections::BTreeSet;
use std::time::Duration;

use wiber_bridge::config::{self, Secret};
use wiber_bridge::store::{
    DeadLetter, Doubt, Error, GapReason, Hops, LetterFilter, MessageDocument, NewGap, Origin, Outcome, Place, Question,
    Resent, SentRun, Store, Topic, Trace,
};
use wiber_model::outbox::RowRef;
use wiber_model::query::MessageState;
use wiber_model::record::{Poison, source};
use wiber_model::{Message, MessageId};
use wiber_servers::process::{Process, Spec};

use crate::harness::{OUTBOX_ID, message, messages, servers, store, until};

pub(crate) fn document(message: &Message, seq: i64) -> MessageDocument {
    let hops = Hops { accepted_at: 1, published_at: 2, stored_at: 3 };
    MessageDocument::new(message, seq, Place { topic: "t".into(), partition: 0, offset: seq }, hops, Trace::default())
}

#[tokio::test]
async fn a_write_stops_at_the_first_duplicate() {
    let store = store("duplicates").await;
    let sent = messages("alice", "bob", 4);
    assert!(matches!(store.insert(&[document(&sent[0], 1), document(&sent[1], 2)]).await, Outcome::Done));
    // A place that is taken, then an id that is stored: nothing behind either is written.
    for batch in [[document(&sent[2], 2), document(&sent[3], 3)], [document(&sent[1], 3), document(&sent[3], 4)]] {
        let outcome = store.insert(&batch).await;
        assert!(matches!(outcome, Outcome::Doubtful(Doubt::Duplicate, _)), "{outcome:?}");
    }
    let ids: Vec<&MessageId> = sent.iter().map(|m| &m.message_id).collect();
    let known = store.known(&ids).await.unwrap();
    assert_eq!(known.len(), 2);
    let one = &known[&sent[1].message_id];
    assert_eq!((&one.message, one.seq), (&sent[1], 2));
    let heads = store.heads(&[r#"["alice","bob"]"#, r#"["no","body"]"#]).await.unwrap();
    assert_eq!(heads.into_iter().collect::<Vec<_>>(), [(r#"["alice","bob"]"#.to_owned(), 2)]);
}

#[tokio::test]
async fn settled_means_stored_or_dead_lettered() {
    let store = store("settled").await;
    let sent = messages("alice", "bob", 6);
    let rows: Vec<RowRef> = (1..)
        .zip(&sent)
        .map(|(position, message)| RowRef { position, message_id: message.message_id.clone() })
        .collect();
    let row = |position| Some(Origin { source: source(OUTBOX_ID), sequence: position });
    let trace = |row: Option<Origin>| match row {
        Some(Origin { source, sequence }) => {
            Trace { source: Some(source), sequence: Some(sequence), ..Trace::default() }
        }
        None => Trace::default(),
    };
    let stored = |index: usize, seq, row| MessageDocument { trace: trace(row), ..document(&sent[index], seq) };
    let letter = |index: usize, settles| DeadLetter {
        id: sent[index].message_id.as_str().to_owned(),
        reason: Poison::WrongKey,
        detail: "why".into(),
        origin: Place { topic: "t".into(), partition: 1, offset: 7 },
        settles,
        at_ms: 5,
        published_at_ms: 4,
        replays: 0,
    };
    let settled = async |outbox_id: &str| {
        let settled = store.settled(outbox_id, &rows).await.unwrap();
        settled.into_iter().collect::<BTreeSet<i64>>().into_iter().collect::<Vec<_>>()
    };
    // Stored from its row; from another row; from no row. Dead-lettered from its row; from no row; neither.
    let documents = [stored(0, 1, row(1)), stored(1, 2, row(77)), stored(2, 3, None)];
    assert!(matches!(store.insert(&documents).await, Outcome::Done));
    store.put_dead_letter(&letter(3, row(4))).await.unwrap();
    store.put_dead_letter(&letter(4, None)).await.unwrap();
    assert_eq!(settled(OUTBOX_ID).await, [1, 4]);
    assert_eq!(settled("another").await, [0_i64; 0]);
    // The rows' own records come after those that only claimed their ids.
    store.add_origin(&sent[1].message_id, &row(2).unwrap()).await.unwrap();
    store.put_dead_letter(&DeadLetter { reason: Poison::NoKey, at_ms: 9, ..letter(4, row(5)) }).await.unwrap();
    assert_eq!(settled(OUTBOX_ID).await, [1, 2, 4, 5]);
    let known = store.known(&[&sent[1].message_id]).await.unwrap();
    assert_eq!(known[&sent[1].message_id].origins, [row(77).unwrap(), row(2).unwrap()]);

    let letter = letter(4, None);
    store.put_dead_letter(&letter).await.unwrap();
    assert_eq!(store.dead_letter_count().await.unwrap(), 2);
    let state = store.message(&letter.id).await.unwrap();
    assert!(matches!(&state, Some(MessageState::DeadLettered(l)) if l.reason == "wrong-key" && l.at == 5), "{state:?}");
    let plan = store.explain(&Question::DeadIds(&[letter.id.as_str()])).await.unwrap();
    assert!(plan.to_string().contains("IXSCAN") && !plan.to_string().contains("COLLSCAN"), "{plan}");
}

#[tokio::test]
async fn letters_of_a_topic_made_anew_have_a_place_each() {
    let store = store("places").await;
    let origin = Place { topic: "t".into(), partition: 1, offset: 7 };
    let letter = |published_at_ms, reason, replays| DeadLetter {
        id: origin.to_string(),
        reason,
        detail: "why".into(),
        origin: origin.clone(),
        settles: None,
        at_ms: 5,
        published_at_ms,
        replays,
    };
    // The newer one is the replay of a third, which is no news of the older one.
    let (before, after) = (letter(4, Poison::NotJson, 0), letter(9, Poison::NoKey, 1));
    // Each by several at once, as from bridges that overlap, and each again.
    for letter in [&before, &after, &before, &after] {
        let puts = std::iter::repeat_with(|| store.put_dead_letter(letter)).take(8);
        futures::future::try_join_all(puts).await.unwrap();
    }
    assert_eq!(store.dead_letter_count().await.unwrap(), 2);
    let mut letters = store.letters(&LetterFilter::default()).await.unwrap();
    let mut found = Vec::new();
    while let Some(letter) = letters.next().await.unwrap() {
        found.push((letter.id, letter.reason, letter.published_at, letter.replays));
    }
    let expected =
        |id: &str, reason: &str, published_at, replays| (id.into(), reason.into(), Some(published_at), replays);
    assert_eq!(found, [expected("t/1/7", "not-json", 4, 0), expected("t/1/7@9", "no-key", 9, 1)]);
}

#[tokio::test]
async fn meta_remembers_topics_outboxes_and_gaps() {
    let store = store("meta").await;
    assert_eq!(store.outbox_id("http://a/").await.unwrap(), None);
    store.set_outbox_id("http://a/", "one").await.unwrap();
    store.set_outbox_id("http://a/", "two").await.unwrap();
    assert_eq!(store.outbox_id("http://a/").await.unwrap().as_deref(), Some("two"));
    let topic = Topic { topic_id: "x".into(), partitions: 12 };
    assert_eq!(store.topic("t").await.unwrap(), None);
    store.set_topic("t", &topic).await.unwrap();
    assert_eq!(store.topic("t").await.unwrap(), Some(topic));

    let new = |partition, now_ms, topic_id: &str| NewGap {
        topic: "t".into(),
        partition,
        reason: GapReason::LogStart,
        topic_id: topic_id.into(),
        resume_at: 5,
        records: 3,
        now_ms,
    };
    store.open_gap(new(1, 1, "x")).await.unwrap();
    store.open_gap(new(2, 1, "x")).await.unwrap();
    // One that waits is not replaced by itself.
    store.open_gap(new(1, 2, "x")).await.unwrap();
    store.open_gap(NewGap { topic: "t2".into(), ..new(1, 1, "x") }).await.unwrap();
    let gaps = store.open_gaps("t").await.unwrap();
    assert_eq!(gaps.iter().map(|g| (g.partition, g.epoch)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);

    let run = Some(SentRun { number: 5, last_position: 7, end_offset: 12 });
    let resent = Resent { url: "http://a/".into(), outbox_id: "two".into(), from_offset: 9, run };
    store.mark_resent(&gaps[0], &resent).await.unwrap();
    store.mark_resent(&gaps[0], &Resent { from_offset: 99, ..resent.clone() }).await.unwrap();
    store.mark_resumed(&gaps[0]).await.unwrap();
    let marked = store.open_gaps("t").await.unwrap().remove(0);
    assert!(marked.resumed && marked.resent == [resent.clone()], "{marked:?}");

    // A later gap takes the place of one that was passed, and news of the earlier one does not touch it.
    store.open_gap(new(1, 3, "x")).await.unwrap();
    store.mark_resent(&marked, &Resent { url: "http://b/".into(), ..resent }).await.unwrap();
    store.close_gap(&marked).await.unwrap();
    let later = store.open_gaps("t").await.unwrap().remove(0);
    assert!(later.epoch == 3 && !later.resumed && later.resent.is_empty(), "{later:?}");
    store.close_gap(&later).await.unwrap();
    assert_eq!(store.open_gaps("t").await.unwrap().len(), 1);
    assert_eq!(store.open_gaps("t2").await.unwrap().len(), 1);
}

async fn store_at(uri: String) -> Store {
    let mongo = config::Mongo {
        uri: Secret::new(uri),
        database: "d".into(),
        collection: "messages".into(),
        write_timeout: Duration::from_secs(1),
    };
    Store::new(&mongo).await.unwrap()
}

#[tokio::test]
async fn a_standalone_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let port = wiber_servers::ports::free();
    let spec = Spec::new("MongoDB", &servers().await.tools.mongo.mongod, folder.path().join("log"))
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        .args(["--port".to_owned(), port.to_string()])
        .args(["--dbpath".into(), folder.path().as_os_str().to_owned()]);
    let standalone = Process::spawn(spec).unwrap();
    let store = store_at(format!("mongodb://127.0.0.1:{port}")).await;
    until("the standalone server", async || store.ping().await.map_err(|e| e.to_string())).await;
    let refusal = store.prepare().await.unwrap_err();
    assert!(matches!(refusal, Error::NotReplicaSet { .. }) && refusal.to_string().contains("MONGO_URI"), "{refusal}");
    standalone.kill().await;
}

#[tokio::test]
async fn an_absent_server_is_an_error_in_time() {
    let store = store_at(format!("mongodb://127.0.0.1:{}/?replicaSet=x", wiber_servers::ports::free())).await;
    let started = std::time::Instant::now();
    assert!(store.message(message("a", "b", "c").message_id.as_str()).await.is_err());
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    let outcome = store.insert(&[document(&message("a", "b", "c"), 1)]).await;
    assert!(matches!(outcome, Outcome::NothingWritten(_)), "{outcome:?}");
}
