//! Messages that were accepted and not found in MongoDB: stored meanwhile, dead-lettered, on their way, or missing.

use std::collections::{HashMap, HashSet};

use wiber_bridge::store::{self, Found, IDS_MAX, Letter, LetterFilter};
use wiber_model::MessageId;
use wiber_model::record::Poison;

use super::Context;
use super::content::{Id, contradiction, digest};
use super::findings::{Findings, Kind};
use super::outboxes::{Held, Outboxes, Rows};
use super::published::{Entry, Odd, Published};
use crate::when;

/// What is said of a letter whose replay Kafka lost.
const REPLAY_LOST: &str = "replayed from the dead letters, and neither stored nor dead-lettered again";

/// What came of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    /// Stored by now.
    pub(super) stored: u64,
    /// The dead letters that wait and account for records; one that was replayed in vain has several.
    pub(super) dead_letters: HashSet<String>,
    /// On their way.
    pub(super) in_flight: u64,
    /// Accepted and not yet in the topic.
    pub(super) unpublished: u64,
}

impl Doubts {
    fn account(&mut self, letter: &Letter) {
        if letter.replayed_at.is_none() {
            self.dead_letters.insert(letter.id.clone());
        }
    }
}

/// Every dead letter, by its id and by the place of its record.
#[derive(Default)]
struct Letters {
    by_id: HashMap<String, Letter>,
    /// Ids; a topic that was made anew has each place again.
    by_place: HashMap<String, Vec<String>>,
}

impl Letters {
    fn add(&mut self, letter: Letter) {
        self.by_place.entry(letter.origin.to_string()).or_default().push(letter.id.clone());
        self.by_id.insert(letter.id.clone(), letter);
    }

    /// What a record that lies at `at` was dead-lettered as.
    fn at(&self, at: &str, appended_ms: Option<i64>) -> Option<&Letter> {
        let here = self.by_place.get(at)?.iter().filter_map(|id| self.by_id.get(id));
        let mut same = here.filter(|letter| match (appended_ms, letter.published_at) {
            (Some(appended), Some(published)) => appended == published,
            _ => true,
        });
        same.next()
    }

    /// What an unstorable record may have been dead-lettered as: all that claim one id share a letter.
    fn of_odd(&self, odd: &Odd, at: &str) -> Option<&Letter> {
        let by_id = || self.by_id.get(odd.id.as_ref()?.as_str());
        self.at(at, Some(odd.appended_ms)).or_else(by_id)
    }

    /// What a record that gave a stored message another content was dead-lettered as: the letter that waits, or else
    /// the last, of all that it was at its places, since each replay in vain makes another.
    fn of_conflict(&self, places: &[String]) -> Option<&Letter> {
        let here = places.iter().filter_map(|at| self.at(at, None));
        let conflicts = here.filter(|letter| letter.reason == Poison::Conflict.code());
        conflicts.max_by_key(|letter| (letter.replayed_at.is_none(), letter.replays))
    }

    /// What a record that holds a whole message was dead-lettered as. A letter under the message's id proves nothing by
    /// itself, since any record may claim any id: its record must lie there too, or have been replayed.
    fn of_message(&self, id: &str, at: &str) -> Option<&Letter> {
        let letter = self.by_id.get(id)?;
        (letter.replayed_at.is_some() || letter.origin.to_string() == at).then_some(letter)
    }
}

/// Judges every message that is in an outbox or in the topic and was not found in MongoDB.
pub(super) async fn resolve(
    context: &Context<'_>,
    published: &Published,
    rows: &Rows,
    outboxes: &mut Outboxes,
    findings: &mut Findings,
) -> Result<Doubts, store::Error> {
    let mut doubts = Doubts::default();
    let (mut letters, mut replayed) = (Letters::default(), HashMap::new());
    let mut all = context.store.letters(&LetterFilter { replayed_too: true, ..LetterFilter::default() }).await?;
    while let Some(letter) = all.next().await? {
        for row in &letter.settles {
            outboxes.meet(Some(&row.source), Some(row.sequence));
        }
        replayed.extend(replayed_in(context, &letter));
        letters.add(letter);
    }
    let open: Vec<&Entry> = published.not_stored().collect();
    for some in open.chunks(IDS_MAX) {
        let now = look_up(context, some.iter().map(|entry| entry.id)).await?;
        for entry in some {
            judge(context, entry, published, &now, &letters, rows, findings, &mut doubts);
        }
    }
    let waiting: Vec<(&Id, &Held)> = rows.iter().filter(|(id, _)| published.variants(**id).is_empty()).collect();
    for some in waiting.chunks(IDS_MAX) {
        let now = look_up(context, some.iter().map(|(id, _)| **id)).await?;
        // What is known by now was published after the topic was read.
        for (id, held) in some.iter().filter(|(id, _)| !now.contains_key(*id)) {
            doubts.unpublished += 1;
            judge_row(context, **id, held, findings, &mut doubts);
        }
    }
    for odd in &published.odd {
        if let Some((letter, at)) = judge_odd(context, odd, &letters, findings, &mut doubts) {
            replayed.insert(letter, at);
        }
    }
    // Those with a record were judged by it.
    replayed.retain(|id, _| published.variants(*id).is_empty());
    judge_replayed(context, replayed, findings, &mut doubts).await?;
    Ok(doubts)
}

async fn look_up(context: &Context<'_>, ids: impl Iterator<Item = Id>) -> Result<HashMap<Id, Found>, store::Error> {
    let ids: HashSet<Id> = ids.collect();
    let texts: HashMap<String, Id> = ids.into_iter().map(|id| (id.message_id().into(), id)).collect();
    let asked: Vec<&str> = texts.keys().map(String::as_str).collect();
    let found = context.store.look_up(&asked).await?;
    let text = |found: &Found| match found {
        Found::Message(document) => document.id.as_str().to_owned(),
        Found::Odd { id, .. } => id.clone(),
    };
    Ok(found.into_iter().filter_map(|found| Some((*texts.get(&text(&found))?, found))).collect())
}

#[allow(clippy::too_many_arguments, reason = "all that is known of a message")]
fn judge(
    context: &Context<'_>,
    entry: &Entry,
    published: &Published,
    now: &HashMap<Id, Found>,
    letters: &Letters,
    rows: &Rows,
    findings: &mut Findings,
    doubts: &mut Doubts,
) {
    let id = entry.id.message_id();
    let at = entry.place.text(context.topic.name());
    if let Some(found) = now.get(&entry.id) {
        let content = match found {
            Found::Message(document) => {
                if let Some(problem) = contradiction(document) {
                    findings.add(Kind::Altered, id.as_str(), problem);
                }
                Some(digest(&document.clone().into_stored().message))
            }
            Found::Odd { .. } => None,
        };
        let is_other = content.is_some_and(|content| {
            content != entry.digest
                && published.variants(entry.id).any(|index| published.entry(index).digest == content)
        });
        let replays = published.replays_of(entry.id, entry.digest).map(|place| place.text(context.topic.name()));
        let places: Vec<String> = replays.chain([at.clone()]).collect();
        match (content, letters.of_conflict(&places)) {
            (Some(content), _) if content == entry.digest => doubts.stored += 1,
            (_, Some(letter)) if is_other => match letter.replayed_at {
                None => doubts.account(letter),
                Some(replayed) => late(context, id.as_str(), replayed, REPLAY_LOST.to_owned(), findings, doubts),
            },
            _ if is_other => {
                let problem =
                    format!("another content is stored under its id, and its record at {at} is not dead-lettered");
                late(context, id.as_str(), entry.id.millis(), problem, findings, doubts);
            }
            _ => findings.add(Kind::Altered, id.as_str(), "its content in MongoDB is not that of its record"),
        }
        return;
    }
    if let Some(letter) = letters.of_message(id.as_str(), &at) {
        match letter.replayed_at {
            None => doubts.account(letter),
            Some(replayed) => {
                late(
                    context,
                    id.as_str(),
                    replayed,
                    format!("replayed from the dead letters, now at {at}, not stored"),
                    findings,
                    doubts,
                );
            }
        }
        return;
    }
    match rows.get(&entry.id) {
        Some(held) => {
            if held.digest != entry.digest {
                findings.add(Kind::Altered, id.as_str(), format!("its record at {at} is not what its outbox holds"));
            }
            let age = when::age(context.now_ms - held.accepted_at);
            let problem = format!("accepted {age} ago by {}, published at {at}, not stored", held.outbox);
            late(context, id.as_str(), held.accepted_at, problem, findings, doubts);
        }
        None if entry.place.is_from_outbox() => {
            let problem = format!("published at {at}, not stored, and no longer in its outbox");
            findings.add(Kind::Missing, id.as_str(), problem);
        }
        None => {
            late(context, id.as_str(), entry.id.millis(), format!("published at {at}, not stored"), findings, doubts);
        }
    }
}

fn judge_row(context: &Context<'_>, id: Id, held: &Held, findings: &mut Findings, doubts: &mut Doubts) {
    let age = when::age(context.now_ms - held.accepted_at);
    let published = if held.published { "published, but not in the topic" } else { "not published" };
    let problem =
        format!("accepted {age} ago by {} at position {}, {published}, not stored", held.outbox, held.position);
    late(context, id.message_id().as_str(), held.accepted_at, problem, findings, doubts);
}

/// Returns the message whose dead letter was replayed, and when that was.
fn judge_odd(
    context: &Context<'_>,
    odd: &Odd,
    letters: &Letters,
    findings: &mut Findings,
    doubts: &mut Doubts,
) -> Option<(Id, i64)> {
    let at = odd.place.text(context.topic.name());
    let id = odd.id.as_ref().map_or(at.as_str(), |id| id.as_str());
    let problem = match (odd.reason, letters.of_odd(odd, &at)) {
        (None, _) => format!("the record at {at} is of a version that is unknown here: its partition waits"),
        (Some(_), Some(letter)) => {
            doubts.account(letter);
            // One that names no message is not known again once it was replayed.
            return Some((Id::of(&MessageId::parse(&letter.id).ok()?), letter.replayed_at?));
        }
        (Some(reason), None) => {
            format!("the record at {at} cannot be stored ({}) and is not dead-lettered", reason.code())
        }
    };
    late(context, id, odd.appended_ms, problem, findings, doubts);
    None
}

/// The message whose dead letter was replayed, and when, where that can be told of the letter alone: it names a message of
/// the scope, and what is stored under the message's id is not known to be another.
fn replayed_in(context: &Context<'_>, letter: &Letter) -> Option<(Id, i64)> {
    let replayed_at = letter.replayed_at?;
    let id = MessageId::parse(&letter.id).ok()?;
    // A letter does not tell its conversation.
    let is_in = context.scope.conversation().is_none() && context.scope.holds_id(&id);
    (is_in && letter.reason != Poison::Conflict.code()).then(|| (Id::of(&id), replayed_at))
}

/// A letter that was replayed waits again or is stored, unless Kafka lost what was replayed.
async fn judge_replayed(
    context: &Context<'_>,
    replayed: HashMap<Id, i64>,
    findings: &mut Findings,
    doubts: &mut Doubts,
) -> Result<(), store::Error> {
    let all: Vec<(Id, i64)> = replayed.into_iter().collect();
    for some in all.chunks(IDS_MAX) {
        let now = look_up(context, some.iter().map(|(id, _)| *id)).await?;
        for (id, replayed_at) in some.iter().filter(|(id, _)| !now.contains_key(id)) {
            late(context, id.message_id().as_str(), *replayed_at, REPLAY_LOST.to_owned(), findings, doubts);
        }
    }
    Ok(())
}

/// On its way, unless it has been for too long.
fn late(context: &Context<'_>, id: &str, since_ms: i64, problem: String, findings: &mut Findings, doubts: &mut Doubts) {
    if context.is_fresh(since_ms) {
        doubts.in_flight += 1;
    } else {
        findings.add(Kind::Missing, id, problem);
    }
}
