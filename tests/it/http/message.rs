//! `GET /messages/id/{messageId}`.

use libtest_mimic::Trial;
use wiber_model::MessageId;
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, send, shape, tests_at, wait};

use super::check::line;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place; a_message_is_known_from_its_200_on, what_was_never_sent_is_not_found]
}

const STATES: [&str; 3] = ["accepted", "published", "stored"];

async fn a_message_is_known_from_its_200_on(site: Site) {
    let (alice, bob) = names::pair();
    let message = site.client.send(&alice, &bob, "where am I?").await;
    let id = send::id(&message);
    let mut reached = 0;
    wait::until("the state stored", async || {
        let answer = site.client.state(&id).await.expect(200).json();
        let place = STATES.iter().position(|state| answer["state"] == *state);
        let place = place.unwrap_or_else(|| panic!("another state: {answer}"));
        assert!(place >= reached, "back from {} to {}", STATES[reached], STATES[place]);
        reached = place;
        let expected = if place == 2 { shape::at_place(&message, 1) } else { message.clone() };
        assert_eq!(shape::without_ledger(&answer), expected);
        let hops = answer["ledger"].as_array().expect("an array").iter().map(|hop| &hop["hop"]).collect::<Vec<_>>();
        assert_eq!(hops, STATES[..=place].iter().collect::<Vec<_>>(), "{answer}");
        assert_eq!(answer["ledger"][0]["at"], message["createdAt"], "{answer}");
        assert!(answer["ledger"][0]["outbox"]["id"].is_string() && answer["ledger"][0]["outbox"]["position"].is_i64());
        assert!(place == 0 || answer["ledger"][1]["offset"].is_i64() && answer["ledger"][1]["partition"].is_i64());
        assert!(place < 2 || answer["ledger"][2]["seq"] == 1, "{answer}");
        if place == 2 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

async fn check(site: &Site, id: &str, expected: &str) {
    assert_eq!(line(&site.client.state(id).await), expected, "{id}");
}

async fn what_was_never_sent_is_not_found(site: Site) {
    let unused = MessageId::new(1_758_865_780_040, rand::random());
    check(&site, unused.as_str(), "404 not-found").await;
    for text in ["x", "msg_", "msg_1_2", "msg_1_E10628BB5F1C4D2A9B07", "1", "%20", "msg_1_e10628bb5f1c4d2a9b0g"] {
        check(&site, text, "404 not-found").await;
    }
    check(&site, "%zz", "400 bad-percent-encoding").await;
    let answer = site.client.get(&format!("/messages/id/{unused}?x=1")).await;
    assert_eq!(line(&answer), "422 x:unknown-parameter");
}
