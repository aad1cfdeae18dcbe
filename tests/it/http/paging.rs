//! Paging neither skips nor repeats while messages arrive.

use libtest_mimic::Trial;
use serde_json::Value;
use wiber_tests::client::Client;
use wiber_tests::send::{id, seq};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, tests_at, wait};

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; forwards_while_messages_arrive, backwards_while_messages_arrive]
}

const MESSAGES: usize = 300;

/// Sends from both sides and by four senders at once, until all are sent.
fn arriving(client: &Client, alice: &str, bob: &str) -> tokio::task::JoinHandle<Vec<String>> {
    let (client, alice, bob) = (client.clone(), alice.to_owned(), bob.to_owned());
    tokio::spawn(async move {
        let sends = (0..4).map(|sender| {
            let (client, alice, bob) = (client.clone(), alice.clone(), bob.clone());
            async move {
                let (from, to) = if sender % 2 == 0 { (alice, bob) } else { (bob, alice) };
                let mut sent = Vec::new();
                for n in 0..MESSAGES / 4 {
                    sent.push(id(&client.send(&from, &to, &format!("sender {sender} text {n}")).await));
                }
                sent
            }
        });
        futures::future::join_all(sends).await.concat()
    })
}

fn check(read: &[Value], sent: Vec<String>) {
    assert_eq!(read.iter().map(seq).collect::<Vec<_>>(), (1..=i64::try_from(sent.len()).unwrap()).collect::<Vec<_>>());
    let mut read: Vec<String> = read.iter().map(id).collect();
    let mut sent = sent;
    read.sort();
    sent.sort();
    assert_eq!(read, sent);
}

async fn forwards_while_messages_arrive(site: Site) {
    let (alice, bob) = names::pair();
    let sending = arriving(&site.client, &alice, &bob);
    for name in ["after", "offset"] {
        let mut read: Vec<Value> = Vec::new();
        wait::until("every message on a page", async || {
            let from = read.last().map_or(0, seq);
            let page = site.client.page(&alice, &bob, &format!("?limit=7&{name}={from}")).await.expect(200).array();
            for (place, message) in (from + 1..).zip(&page) {
                assert_eq!(seq(message), place, "after {from}: {page:?}");
            }
            read.extend(page);
            if read.len() == MESSAGES { Ok(()) } else { Err(format!("{} messages", read.len())) }
        })
        .await;
        if sending.is_finished() || name == "offset" {
            let again = site.client.conversation(&alice, &bob).await;
            assert_eq!(again, read, "every reader sees the same order");
        }
    }
    let sent = sending.await.expect("every send is answered");
    check(&site.client.conversation(&alice, &bob).await, sent);
}

async fn backwards_while_messages_arrive(site: Site) {
    let (alice, bob) = names::pair();
    let sending = arriving(&site.client, &alice, &bob);
    let mut rounds = 0;
    while !sending.is_finished() {
        let mut page = site.client.page(&alice, &bob, "?limit=11&order=desc").await.expect(200).array();
        let mut expected = page.first().map_or(0, seq);
        while !page.is_empty() {
            for message in &page {
                assert_eq!(seq(message), expected, "round {rounds}: {page:?}");
                expected -= 1;
            }
            let query = format!("?limit=11&order=desc&before={}", expected + 1);
            page = site.client.page(&alice, &bob, &query).await.expect(200).array();
        }
        assert_eq!(expected, 0, "round {rounds} ends at the first message");
        rounds += 1;
    }
    let sent = sending.await.expect("every send is answered");
    site.client.readable(&alice, &bob, sent.len()).await;
    check(&site.client.conversation(&alice, &bob).await, sent);
}
