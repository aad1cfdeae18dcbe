//! `wiber dead-letters list`.

use serde_json::{Value, json};
use wiber_bridge::store::{Letter, Store};
use wiber_model::rfc3339_millis;

use super::{filter, origin, state};
use crate::args::List;
use crate::{Outcome, table};

pub(super) async fn run(store: &Store, list: &List, json: bool) -> anyhow::Result<Outcome> {
    let mut letters = store.letters(&filter(&list.which, list.all)).await?;
    let (mut listed, mut more) = (Vec::new(), 0_u64);
    while let Some(letter) = letters.next().await? {
        if listed.len() < list.limit {
            listed.push(letter);
        } else {
            more += 1;
        }
    }
    if json {
        let all: Vec<Value> = listed.iter().map(as_json).collect();
        println!("{}", json!({ "deadLetters": all, "more": more }));
    } else {
        print(&listed, more, list.all);
    }
    Ok(Outcome::Clean)
}

/// A dead letter as JSON: the same members in `list`, `show` and `replay`.
pub(super) fn as_json(letter: &Letter) -> Value {
    json!({
        "id": letter.id,
        "state": state(letter),
        "reason": letter.reason,
        "detail": letter.detail,
        "origin": letter.origin,
        "at": rfc3339_millis(letter.at),
        "replays": letter.replays,
        "replayedAt": letter.replayed_at.map(rfc3339_millis),
    })
}

fn print(letters: &[Letter], more: u64, all: bool) {
    if letters.is_empty() {
        println!("{}", if all { "no dead letters" } else { "no dead letters wait" });
        return;
    }
    let head = ["ID", "REASON", "AT", "ORIGIN", "REPLAYS", "STATE"].map(str::to_owned).to_vec();
    let row = |letter: &Letter| {
        let (at, replays) = (rfc3339_millis(letter.at), letter.replays.to_string());
        vec![letter.id.clone(), letter.reason.clone(), at, origin(letter), replays, state(letter).to_owned()]
    };
    let rows: Vec<Vec<String>> = [head].into_iter().chain(letters.iter().map(row)).collect();
    table::lines(&rows).iter().for_each(|line| println!("{line}"));
    if more > 0 {
        println!("… and {} more (--limit)", table::number(more));
    }
}
