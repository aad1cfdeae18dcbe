//! Order within a conversation: what was sent after another's 200 arrived comes after it, whoever sent it.

use std::time::Instant;

use libtest_mimic::Trial;
use tokio::sync::mpsc;
use wiber_tests::send::{contents, id};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, tests_at};

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; concurrent_senders_keep_their_order, an_answer_comes_after_its_question]
}

struct Sent {
    id: String,
    started: Instant,
    ended: Instant,
}

async fn concurrent_senders_keep_their_order(site: Site) {
    let (alice, bob) = names::pair();
    let senders = (0..12).map(|sender| {
        let (site, alice, bob) = (site.clone(), alice.clone(), bob.clone());
        async move {
            let (from, to) = if sender % 2 == 0 { (alice, bob) } else { (bob, alice) };
            let mut sent = Vec::new();
            for n in 0..25 {
                let started = Instant::now();
                let message = site.client.send(&from, &to, &format!("sender {sender} text {n}")).await;
                sent.push(Sent { id: id(&message), started, ended: Instant::now() });
            }
            sent
        }
    });
    let sent: Vec<Sent> = futures::future::join_all(senders).await.into_iter().flatten().collect();
    let read: Vec<String> = site.client.readable(&alice, &bob, sent.len()).await.iter().map(id).collect();
    let place = |sent: &Sent| read.iter().position(|id| *id == sent.id).expect("every message is read");
    for earlier in &sent {
        for later in sent.iter().filter(|later| later.started > earlier.ended) {
            assert!(place(earlier) < place(later), "{} was sent after the 200 of {}", later.id, earlier.id);
        }
    }
}

/// Two senders that wait for each other through different connections.
async fn an_answer_comes_after_its_question(site: Site) {
    let (alice, bob) = names::pair();
    let (to_bob, mut from_alice) = mpsc::channel::<usize>(1);
    let (to_alice, mut from_bob) = mpsc::channel::<usize>(1);
    let answering = {
        let (site, alice, bob) = (site.clone(), alice.clone(), bob.clone());
        tokio::spawn(async move {
            let client = wiber_tests::client::Client::functions(site.client.base());
            while let Some(n) = from_alice.recv().await {
                client.send(&bob, &alice, &format!("answer {n}")).await;
                to_alice.send(n).await.expect("alice listens");
            }
        })
    };
    let mut expected = Vec::new();
    for n in 0..40 {
        site.client.send(&alice, &bob, &format!("question {n}")).await;
        to_bob.send(n).await.expect("bob listens");
        from_bob.recv().await.expect("bob answers");
        expected.extend([format!("question {n}"), format!("answer {n}")]);
    }
    drop(to_bob);
    answering.await.expect("bob ends");
    assert_eq!(contents(&site.client.readable(&alice, &bob, 80).await), expected);
}
