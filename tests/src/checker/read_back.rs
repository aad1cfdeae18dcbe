//! What the system says it holds.

use std::collections::BTreeMap;

use mongodb::bson::Document;
use serde_json::Value;
use wiber_model::{Conversation, record::header};

use crate::send::{id, seq};
use crate::stack::Stack;

/// One message as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// Its place in the conversation; in Kafka, its offset.
    pub seq: i64,
    /// Who sent it, to whom.
    pub users: (String, String),
    /// Its text.
    pub content: String,
}

/// Everything found, by conversation and in the order found.
#[derive(Debug, Clone, Default)]
pub struct ReadBack {
    /// By paging through the API.
    pub paged: BTreeMap<Conversation, Vec<Seen>>,
    /// In MongoDB, by `seq`.
    pub stored: BTreeMap<Conversation, Vec<Seen>>,
    /// In Kafka's log, each id where it first appears.
    pub logged: BTreeMap<Conversation, Vec<Seen>>,
}

impl ReadBack {
    /// Reads a deployment back: every conversation that MongoDB holds, by paging too. Without `kafka`, where the log may
    /// be damaged, MongoDB's order stands for the log's.
    pub async fn of(stack: &Stack, kafka: bool) -> Self {
        let documents = stack.store.messages().await;
        let stored = stored(&documents);
        let logged = if kafka { logged(stack).await } else { stored.clone() };
        let mut back = Self { stored, logged, ..Self::default() };
        for (conversation, (one, other)) in pairs(&documents) {
            let page = stack.client.conversation(&one, &other).await;
            let seen = page.iter().map(|message| Seen {
                id: id(message),
                seq: seq(message),
                users: (member(message, "fromUser"), member(message, "toUser")),
                content: member(message, "content"),
            });
            back.paged.insert(conversation, seen.collect());
        }
        back
    }
}

fn member(message: &Value, name: &str) -> String {
    message[name].as_str().unwrap_or_default().to_owned()
}

fn text(document: &Document, name: &str) -> String {
    document.get_str(name).unwrap_or_default().to_owned()
}

fn pairs(documents: &[Document]) -> BTreeMap<Conversation, (String, String)> {
    let pair = |document: &Document| (text(document, "fromUser"), text(document, "toUser"));
    documents.iter().map(pair).map(|pair| (Conversation::of(&pair.0, &pair.1), pair)).collect()
}

fn stored(documents: &[Document]) -> BTreeMap<Conversation, Vec<Seen>> {
    let mut found: BTreeMap<Conversation, Vec<Seen>> = BTreeMap::new();
    for document in documents {
        let seen = Seen {
            id: text(document, "_id"),
            seq: document.get_i64("seq").unwrap_or_default(),
            users: (text(document, "fromUser"), text(document, "toUser")),
            content: text(document, "content"),
        };
        let conversation = Conversation::of(&text(document, "fromUser"), &text(document, "toUser"));
        found.entry(conversation).or_default().push(seen);
    }
    for messages in found.values_mut() {
        messages.sort_by_key(|seen| seen.seq);
    }
    found
}

async fn logged(stack: &Stack) -> BTreeMap<Conversation, Vec<Seen>> {
    let mut found: BTreeMap<Conversation, Vec<Seen>> = BTreeMap::new();
    let mut ids = std::collections::HashSet::new();
    for record in stack.records().await {
        let Some(id) = record.header(header::ID).map(str::to_owned) else { continue };
        let Ok(message) = serde_json::from_slice::<wiber_model::Message>(record.value.as_deref().unwrap_or_default())
        else {
            continue;
        };
        if ids.insert(id.clone()) {
            let conversation = message.conversation();
            let users = (message.from_user, message.to_user);
            let seen = Seen { id, seq: record.offset, users, content: message.content };
            found.entry(conversation).or_default().push(seen);
        }
    }
    found
}
