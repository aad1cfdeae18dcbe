use std::time::Duration;

use super::*;
use crate::bridge::{BridgeAnswer, Unreachable};
use crate::fakes::{Answering, Fixed, get};

struct Outbox {
    held: Option<Held>,
    condition: Result<Condition, String>,
}

impl View for Outbox {
    async fn find(&self, _: &str) -> Result<Option<Held>, String> {
        self.condition.clone().map(|_| self.held.clone())
    }

    async fn condition(&self) -> Result<Condition, String> {
        self.condition.clone()
    }
}

fn outbox(full: bool) -> Outbox {
    Outbox { held: None, condition: Ok(Condition { outbox_id: "o".into(), full, journal: "wal".into(), note: None }) }
}

const UP: &str = r#"{"kafka":"connected","mongodb":"connected","notes":["n"]}"#;
const NO_MONGO: &str = r#"{"kafka":"connected","mongodb":"disconnected","notes":[]}"#;
const ID: &str = "msg_5_00000000000000000000";

async fn check(uri: &str, outbox: &Outbox, bridge: Answering, status: u16, body: &str) {
    let answer = respond(&get(uri), outbox, &bridge, &Fixed, &Ok(Settings::default())).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert_eq!(answer.status().as_u16(), status, "{uri} {text}");
    assert!(text.contains(body), "{text}");
}

#[tokio::test]
async fn readiness_names_what_is_down() {
    let path = "/health/readiness";
    let ready = r#"{"status":"ready","outbox":"accepting","journal":"wal","bridge":"connected","kafka":"connected","mongodb":"connected","notes":["n"]}"#;
    check(path, &outbox(false), Answering::with(200, UP), 200, ready).await;
    check(path, &outbox(false), Answering::with(200, NO_MONGO), 503, r#""mongodb":"disconnected""#).await;
    check(path, &outbox(true), Answering::with(200, UP), 503, r#""outbox":"full""#).await;
    check(path, &outbox(false), Answering::down(), 503, r#""kafka":"unknown""#).await;
    let damaged = Outbox { held: None, condition: Err("damaged".into()) };
    check(path, &damaged, Answering::with(200, UP), 503, r#""outbox":"not durable""#).await;
    let refusing = |id| UP.replace('}', &format!(r#","refusals":{{"{id}":"the disk is full"}}}}"#));
    check(path, &outbox(false), Answering::with(200, &refusing("o")), 503, r#""outbox":"not durable""#).await;
    check(path, &outbox(false), Answering::with(200, &refusing("o")), 503, "the disk is full").await;
    check(path, &outbox(false), Answering::with(200, &refusing("another")), 200, r#""outbox":"accepting""#).await;
}

/// An outbox and a bridge that each take their time.
struct Slow(Duration);

impl View for Slow {
    async fn find(&self, _: &str) -> Result<Option<Held>, String> {
        Ok(None)
    }

    async fn condition(&self) -> Result<Condition, String> {
        tokio::time::sleep(self.0).await;
        outbox(false).condition
    }
}

impl Bridge for Slow {
    async fn get(&self, _: &str) -> Result<BridgeAnswer, Unreachable> {
        tokio::time::sleep(self.0).await;
        Ok(BridgeAnswer { status: 200, next: None, body: UP.into() })
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_asks_outbox_and_bridge_side_by_side() {
    let (slow, begun) = (Slow(Duration::from_secs(2)), tokio::time::Instant::now());
    let answer = respond(&get("/health/readiness"), &slow, &slow, &Fixed, &Ok(Settings::default())).await;
    assert_eq!((answer.status().as_u16(), begun.elapsed()), (200, Duration::from_secs(2)));
}

#[tokio::test]
async fn reading_is_ready_by_itself() {
    check("/health/readiness/fetch", &outbox(true), Answering::with(200, UP), 200, "connected").await;
    check("/health/readiness/fetch", &outbox(true), Answering::with(200, NO_MONGO), 503, "disconnected").await;
    check("/health/liveness", &outbox(true), Answering::down(), 200, r#"{"status":"alive"}"#).await;
}

const NOT_THERE: &str = r#"{"code":"not-found"}"#;

#[tokio::test]
async fn a_message_is_known_by_its_state() {
    let json =
        format!(r#"{{"messageId":"{ID}","fromUser":"a","toUser":"b","content":"x","timestamp":5,"createdAt":""}}"#);
    let held = |published| Outbox {
        held: Some(Held { json: json.clone(), outbox_id: "o".into(), position: 3, accepted_at: 5, published }),
        ..outbox(false)
    };
    let path = format!("/messages/id/{ID}");
    check(&path, &held(None), Answering::down(), 200, r#""state":"accepted""#).await;
    check(&path, &held(Some((1, 2, 6))), Answering::down(), 200, r#""state":"published""#).await;
    check(&path, &outbox(false), Answering::down(), 503, "dependency-down").await;
    check(&path, &outbox(false), Answering::with(404, NOT_THERE), 404, "not-found").await;
    // Somebody who does not know the question says nothing about the message.
    for stranger in ["", "<html>", r#"{"code":"no-such-path"}"#] {
        check(&path, &outbox(false), Answering::with(404, stranger), 503, "dependency-down").await;
    }
    check("/messages/id/x", &outbox(false), Answering::down(), 404, "not-found").await;
    let damaged = Outbox { held: None, condition: Err("damaged".into()) };
    check(&path, &damaged, Answering::with(404, NOT_THERE), 503, "outbox-unavailable").await;
    let dead = r#"{"state":"dead-lettered","reason":"conflict","at":9}"#;
    check(&path, &outbox(false), Answering::with(200, dead), 200, r#""state":"dead-lettered""#).await;
    let stored = format!(
        r#"{{"state":"stored","message":{{"messageId":"{ID}","fromUser":"a","toUser":"b","content":"x","timestamp":5,"createdAt":"","seq":7}},
            "hops":{{"acceptedAt":5,"publishedAt":6,"storedAt":7,"topic":"t","partition":1,"offset":2}}}}"#
    );
    check(&path, &outbox(false), Answering::with(200, &stored), 200, r#""state":"stored""#).await;
    let damaged = Outbox { held: None, condition: Err("damaged".into()) };
    check(&path, &damaged, Answering::with(200, &stored), 200, r#""state":"stored""#).await;
    check(&path, &damaged, Answering::with(404, NOT_THERE), 503, "outbox-unavailable").await;
}

/// What the ledger holds, as text.
async fn check_ledger(outbox: &Outbox, bridge: Answering, expected: &str) {
    check(&format!("/messages/id/{ID}"), outbox, bridge, 200, &format!(r#""ledger":[{expected}]"#)).await;
}

#[tokio::test]
async fn every_hop_has_its_time_and_place() {
    const MESSAGE: &str = r#""fromUser":"a","toUser":"b","content":"x","timestamp":5,"createdAt":"""#;
    let accepted = r#"{"hop":"accepted","at":"1970-01-01T00:00:00.005Z","outbox":{"id":"o","position":3}}"#;
    let published = r#"{"hop":"published","at":"1970-01-01T00:00:00.006Z","partition":1,"offset":2}"#;
    let json = format!(r#"{{"messageId":"{ID}",{MESSAGE}}}"#);
    let held = |published| Outbox {
        held: Some(Held { json: json.clone(), outbox_id: "o".into(), position: 3, accepted_at: 5, published }),
        ..outbox(false)
    };
    check_ledger(&held(None), Answering::down(), accepted).await;
    check_ledger(&held(Some((1, 2, 6))), Answering::down(), &format!("{accepted},{published}")).await;

    let published = |offset| {
        format!(r#"{{"hop":"published","at":"1970-01-01T00:00:00.006Z","topic":"t","partition":1,"offset":{offset}}}"#)
    };
    let stored = r#"{"hop":"stored","at":"1970-01-01T00:00:00.007Z","seq":7}"#;
    let dead = r#"{"hop":"dead-lettered","at":"1970-01-01T00:00:00.009Z","reason":"no-key","detail":"d"}"#;
    let replayed = r#"{"hop":"replayed","at":"1970-01-01T00:00:00.010Z","replays":1}"#;
    let row = r#""row":{"id":"o","position":3}"#;
    let letter = format!(
        r#""reason":"no-key","detail":"d","at":9,{row},"publishedAt":6,"topic":"t","partition":1,"offset":1,"replays":1"#
    );
    let state = |letter: &str| {
        format!(
            r#"{{"state":"stored","message":{{"messageId":"{ID}",{MESSAGE},"seq":7}},"hops":{{"acceptedAt":5,{row},
                "publishedAt":6,"storedAt":7,"topic":"t","partition":1,"offset":2}}{letter}}}"#
        )
    };
    let whole = format!("{accepted},{},{stored}", published(2));
    check_ledger(&outbox(false), Answering::with(200, &state("")), &whole).await;
    let waiting = format!(r#"{{"state":"dead-lettered",{letter}}}"#);
    let whole = format!("{accepted},{},{dead}", published(1));
    check_ledger(&outbox(false), Answering::with(200, &waiting), &whole).await;
    let letter = format!(r#","letter":{{{letter},"replayedAt":10}}"#);
    let whole = format!("{accepted},{},{dead},{replayed},{},{stored}", published(1), published(2));
    check_ledger(&outbox(false), Answering::with(200, &state(&letter)), &whole).await;
}

#[tokio::test]
async fn unknown_paths_and_parameters() {
    check("/nowhere", &outbox(false), Answering::down(), 404, "not-found").await;
    check("/health/liveness?x=1", &outbox(false), Answering::down(), 422, "unknown-parameter").await;
    check("/", &outbox(false), Answering::down(), 200, "Wiber").await;
}
