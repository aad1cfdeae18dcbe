//! What users ask. Their text enters a query as a string value and nowhere else.

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, RawDocumentBuf, deserialize_from_slice, doc};
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};
use wiber_model::query::{ConversationParams, CountParams, MessageState, Order, TimelineParams};
use wiber_model::{Conversation, MessageId, PAGE_LIMIT_MAX};

use super::error::within;
use super::lookup::{heads_pipeline, settling};
use super::prepare::{by_conversation, by_id, by_participant};
use super::{DEAD_LETTERS, Error, Store, letters, limits};

/// A page of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The messages in the asked order, as a JSON array of what users are shown
    /// ([`StoredMessage`](wiber_model::StoredMessage)).
    pub json: Vec<u8>,
    /// The last message that was read for it, by `seq` in a conversation and by id in a timeline, if more lie beyond it.
    pub next: Option<String>,
}

/// What is read of a document for a page, and shown as it is: a page has up to 500 of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(rename(deserialize = "_id", serialize = "messageId"))]
    id: &'a str,
    from_user: &'a str,
    to_user: &'a str,
    content: &'a str,
    timestamp: i64,
    created_at: &'a str,
    seq: i64,
}

/// A find with the index it uses.
#[derive(Debug, Clone, PartialEq)]
struct Find {
    filter: Document,
    sort: Document,
    limit: i64,
    hint: Document,
    projection: Document,
}

/// A question whose plan [`Store::explain`] tells.
#[derive(Debug, Clone)]
pub enum Question<'a> {
    /// [`Store::conversation`].
    Conversation(&'a ConversationParams),
    /// [`Store::timeline`].
    Timeline(&'a TimelineParams),
    /// [`Store::count`] of one user or one conversation.
    Count(&'a CountParams),
    /// [`Store::message`].
    Message(&'a str),
    /// [`Store::heads`].
    Heads(&'a [&'a str]),
    /// [`Store::known`] and [`Store::settled`].
    Ids(&'a [&'a str]),
    /// [`Store::settled`] in the dead letters.
    DeadIds(&'a [&'a str]),
}

impl Store {
    /// One page of a conversation, in the asked order.
    ///
    /// # Errors
    /// If no answer comes in about 2 s.
    pub async fn conversation(&self, params: &ConversationParams) -> Result<Page, Error> {
        let reverses = reads_down(params) && params.order == Order::Asc;
        let read = self.read("reading a conversation", conversation_find(params));
        page(read.await?, params.limit, reverses, |last| last.seq.to_string())
    }

    /// One page of a user's messages, newest first.
    ///
    /// # Errors
    /// If no answer comes in about 2 s.
    pub async fn timeline(&self, params: &TimelineParams) -> Result<Page, Error> {
        let read = self.read("reading a timeline", timeline_find(params));
        page(read.await?, params.limit, false, |last| last.id.to_owned())
    }

    /// All messages, one user's or one conversation's.
    ///
    /// # Errors
    /// If no answer comes in about 2 s.
    pub async fn count(&self, params: &CountParams) -> Result<u64, Error> {
        match (params.user1.as_deref(), params.user2.as_deref()) {
            (Some(one), Some(other)) => self.conversation_count(one, other).await,
            (Some(user), None) | (None, Some(user)) => self.user_count(user).await,
            (None, None) => {
                let count = self.messages.estimated_document_count().max_time(limits::QUERY_SERVER);
                within("counting messages", limits::QUERY, async { count.await }).await
            }
        }
    }

    /// Where a message stands, if MongoDB knows it.
    ///
    /// # Errors
    /// If no answer comes in about 2 s.
    pub async fn message(&self, id: &str) -> Result<Option<MessageState>, Error> {
        // A dead letter without a message id is filed under its origin, which is nobody's message.
        if MessageId::parse(id).is_err() {
            return Ok(None);
        }
        let by_id = || doc! { "_id": id };
        // One limit for both reads together.
        let read = async {
            let stored = self.messages.find_one(by_id()).max_time(limits::QUERY_SERVER).await?;
            let dead = self.dead_letters.find_one(by_id()).max_time(limits::QUERY_SERVER).await?;
            Ok((stored, dead))
        };
        let (stored, dead) = within("reading a message", limits::QUERY, read).await?;
        let letter = dead.map(letters::hops).transpose()?;
        let Some(document) = stored else { return Ok(letter.map(MessageState::DeadLettered)) };
        let hops = document.stored_hops();
        // Without a replay it is of another record, which only claimed this id.
        let letter = letter.filter(|letter| letter.replays > 0).map(Box::new);
        Ok(Some(MessageState::Stored { message: document.into_stored(), hops, letter }))
    }

    /// The server's plan for a question, as `explain` gives it: for tests and for operators.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn explain(&self, question: &Question<'_>) -> Result<Document, Error> {
        let explain = doc! { "explain": self.command(question), "verbosity": "queryPlanner" };
        let run = self.database.run_command(explain);
        within("explaining a query", limits::QUERY, async { run.await }).await
    }

    fn command(&self, question: &Question<'_>) -> Document {
        let messages = self.messages.name();
        match question {
            Question::Conversation(params) => conversation_find(params).command(messages),
            Question::Timeline(params) => timeline_find(params).command(messages),
            Question::Count(CountParams { user1: Some(one), user2: Some(other) }) => {
                head_find(one, other).command(messages)
            }
            Question::Count(params) => {
                user_count_command(messages, params.user1.as_deref().or(params.user2.as_deref()).unwrap_or_default())
            }
            Question::Message(id) => doc! { "find": messages, "filter": { "_id": *id }, "limit": 1 },
            Question::Heads(conversations) => doc! {
                "aggregate": messages,
                "pipeline": heads_pipeline(conversations).to_vec(),
                "cursor": {},
                "hint": by_conversation(),
            },
            Question::Ids(ids) => ids_command(messages, ids),
            Question::DeadIds(ids) => ids_command(DEAD_LETTERS, ids),
        }
    }

    /// Reads what a page shows.
    async fn read(&self, step: &'static str, find: Find) -> Result<Vec<RawDocumentBuf>, Error> {
        let messages = self.messages.clone_with_type::<RawDocumentBuf>();
        let read = async {
            let query = messages
                .find(find.filter)
                .sort(find.sort)
                .limit(find.limit)
                .hint(Hint::Keys(find.hint))
                .projection(find.projection)
                .batch_size(PAGE_LIMIT_MAX + 1)
                .max_time(limits::QUERY_SERVER);
            query.await?.try_collect().await
        };
        within(step, limits::QUERY, read).await
    }

    /// `seq` is contiguous from 1, so the highest one is the count.
    async fn conversation_count(&self, one: &str, other: &str) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Head {
            seq: i64,
        }
        let find = head_find(one, other);
        let typed = self.messages.clone_with_type::<Head>();
        let query = typed.find_one(find.filter).sort(find.sort).hint(Hint::Keys(find.hint));
        let query = query.projection(find.projection).max_time(limits::QUERY_SERVER);
        let head = within("counting a conversation", limits::QUERY, async { query.await }).await?;
        Ok(head.map_or(0, |h| u64::try_from(h.seq).unwrap_or(0)))
    }

    /// The `count` command reads index entries only; an aggregation would fetch every document.
    async fn user_count(&self, user: &str) -> Result<u64, Error> {
        let mut command = user_count_command(self.messages.name(), user);
        command.insert("readConcern", doc! { "level": "majority" });
        command.insert("maxTimeMS", i64::try_from(limits::QUERY_SERVER.as_millis()).unwrap_or(i64::MAX));
        let run = self.database.run_command(command);
        let answer = within("counting a user's messages", limits::QUERY, async { run.await }).await?;
        let count = match answer.get("n") {
            Some(Bson::Int32(n)) => u64::try_from(*n).ok(),
            Some(Bson::Int64(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        count.ok_or_else(|| Error::Shape { collection: "messages", detail: "count answered without n".to_owned() })
    }
}

impl Find {
    fn command(self, collection: &str) -> Document {
        doc! {
            "find": collection,
            "filter": self.filter,
            "sort": self.sort,
            "limit": self.limit,
            "hint": self.hint,
            "projection": self.projection,
        }
    }
}

/// The page of what was read, one more than asked if there is more.
fn page(
    mut read: Vec<RawDocumentBuf>,
    limit: u32,
    reverses: bool,
    next: impl FnOnce(&Shown<'_>) -> String,
) -> Result<Page, Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = read.len() > limit;
    read.truncate(limit);
    let last = read.last().filter(|_| more).map(shape).transpose()?;
    let next = last.as_ref().map(next);
    if reverses {
        read.reverse();
    }
    let mut json = Vec::with_capacity(read.iter().map(|document| document.as_bytes().len() + 2).sum());
    json.push(b'[');
    for (index, document) in read.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, &shape(document)?).map_err(odd)?;
    }
    json.push(b']');
    Ok(Page { json, next })
}

fn shape(document: &RawDocumentBuf) -> Result<Shown<'_>, Error> {
    deserialize_from_slice(document.as_bytes()).map_err(odd)
}

fn odd(error: impl std::fmt::Display) -> Error {
    Error::Shape { collection: "messages", detail: error.to_string() }
}

/// The projection of [`Shown`].
fn shown() -> Document {
    doc! { "fromUser": 1, "toUser": 1, "content": 1, "timestamp": 1, "createdAt": 1, "seq": 1 }
}

/// `before` and the newest-first order read towards lower places.
fn reads_down(params: &ConversationParams) -> bool {
    params.before.is_some() || params.order == Order::Desc
}

/// One more than asked, which tells whether there is more.
fn one_more(limit: u32) -> i64 {
    i64::from(limit.clamp(1, PAGE_LIMIT_MAX)) + 1
}

fn conversation_find(params: &ConversationParams) -> Find {
    let mut range = Document::new();
    if let Some(after) = params.after {
        range.insert("$gt", after);
    }
    if let Some(before) = params.before {
        range.insert("$lt", before);
    }
    let mut filter = doc! { "conversation": Conversation::of(&params.user1, &params.user2).as_str() };
    if !range.is_empty() {
        filter.insert("seq", range);
    }
    let direction = if reads_down(params) { -1 } else { 1 };
    let sort = doc! { "seq": direction };
    Find { filter, sort, limit: one_more(params.limit), hint: by_conversation(), projection: shown() }
}

fn timeline_find(params: &TimelineParams) -> Find {
    let mut filter = doc! { "participants": &params.user };
    if let Some(id) = params.before.as_deref().and_then(|id| MessageId::parse(id).ok()) {
        filter.insert("timestamp", doc! { "$lte": id.millis() });
        // `$nor` stays a filter on the one scan, where `$or` would be planned as several.
        filter.insert("$nor", [doc! { "timestamp": id.millis(), "_id": { "$gte": id.as_str() } }].to_vec());
    }
    let sort = doc! { "timestamp": -1, "_id": -1 };
    Find { filter, sort, limit: one_more(params.limit), hint: by_participant(), projection: shown() }
}

fn head_find(one: &str, other: &str) -> Find {
    Find {
        filter: doc! { "conversation": Conversation::of(one, other).as_str() },
        sort: doc! { "seq": -1 },
        limit: 1,
        hint: by_conversation(),
        projection: doc! { "_id": 0, "seq": 1 },
    }
}

fn user_count_command(collection: &str, user: &str) -> Document {
    doc! { "count": collection, "query": { "participants": user }, "hint": by_participant() }
}

fn ids_command(collection: &str, ids: &[&str]) -> Document {
    doc! { "find": collection, "filter": { "_id": { "$in": ids.to_vec() } }, "projection": settling(), "hint": by_id() }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{serialize_to_document, serialize_to_raw_document_buf};
    use wiber_model::{Message, NewMessage};

    use super::*;
    use crate::store::{Hops, MessageDocument, Place, Trace};

    fn params(after: Option<i64>, before: Option<i64>, order: Order) -> ConversationParams {
        ConversationParams { user1: "bob".into(), user2: "alice".into(), limit: 10, after, before, order }
    }

    fn check(params: &ConversationParams, seq: Option<Document>, direction: i32) {
        let find = conversation_find(params);
        assert_eq!(find.filter.get_document("seq").ok().cloned(), seq);
        assert_eq!(find.sort, doc! { "seq": direction });
        assert_eq!(find.limit, 11);
    }

    #[test]
    fn a_page_shows_messages_as_they_are_read_one_by_one() {
        let new = NewMessage { from_user: "b\"".into(), to_user: "a".into(), content: "\u{0}<ä>".into() };
        let message = Message::accept(new, 1_758_865_780_040, [7; 10]);
        let log = Place { topic: "t".into(), partition: 3, offset: 9 };
        let hops = Hops { accepted_at: 1, published_at: 2, stored_at: 3 };
        let document = |seq| MessageDocument::new(&message, seq, log.clone(), hops, Trace::default());
        let read = || (1..=3).map(|seq| serialize_to_raw_document_buf(&document(seq)).unwrap()).collect::<Vec<_>>();
        let expected = |seqs: &[i64]| {
            let shown: Vec<_> = seqs.iter().map(|seq| document(*seq).into_stored()).collect();
            serde_json::to_vec(&shown).unwrap()
        };
        let seq = |last: &Shown<'_>| last.seq.to_string();
        assert_eq!(page(read(), 3, false, seq).unwrap(), Page { json: expected(&[1, 2, 3]), next: None });
        assert_eq!(page(read(), 2, false, seq).unwrap(), Page { json: expected(&[1, 2]), next: Some("2".into()) });
        assert_eq!(page(read(), 2, true, seq).unwrap(), Page { json: expected(&[2, 1]), next: Some("2".into()) });
        assert_eq!(page(Vec::new(), 2, true, seq).unwrap(), Page { json: b"[]".to_vec(), next: None });
        for name in shown().keys() {
            assert!(serialize_to_document(&document(1)).unwrap().contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_conversations_range_and_direction() {
        check(&params(None, None, Order::Asc), None, 1);
        check(&params(Some(5), None, Order::Asc), Some(doc! { "$gt": 5_i64 }), 1);
        check(&params(None, Some(5), Order::Asc), Some(doc! { "$lt": 5_i64 }), -1);
        check(&params(None, Some(5), Order::Desc), Some(doc! { "$lt": 5_i64 }), -1);
        check(&params(None, None, Order::Desc), None, -1);
    }

    #[test]
    fn users_text_is_a_value_only() {
        let hostile = r#"{"$gt":""}"#;
        let find = timeline_find(&TimelineParams { user: hostile.into(), limit: 1, before: None });
        assert_eq!(find.filter, doc! { "participants": hostile });
        let count = user_count_command("messages", hostile);
        assert_eq!(count.get_document("query").unwrap(), &doc! { "participants": hostile });
    }
}
