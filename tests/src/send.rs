//! Sending and reading back, as a client of the contract does it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use wiber_model::PAGE_LIMIT_MAX;

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::wait;

impl Client {
    /// A send, not yet made.
    #[must_use]
    pub fn sending(&self, from: &str, to: &str, content: &str) -> Call {
        self.call("POST", "/messages").json(&json!({"fromUser": from, "toUser": to, "content": content}))
    }

    /// Sends a message, which must be taken.
    ///
    /// # Panics
    /// If it is not.
    pub async fn send(&self, from: &str, to: &str, content: &str) -> Value {
        self.sending(from, to, content).go().await.expect(200).json()
    }

    /// One page of a conversation; `query` begins with `?` or is empty.
    pub async fn page(&self, one: &str, other: &str, query: &str) -> Answer {
        self.get(&format!("{}{query}", path(one, other))).await
    }

    /// A whole conversation, in `seq` order, read page by page.
    ///
    /// # Panics
    /// If a page cannot be read.
    pub async fn conversation(&self, one: &str, other: &str) -> Vec<Value> {
        let mut messages: Vec<Value> = Vec::new();
        loop {
            let after = messages.last().map_or(0, seq);
            let page =
                self.page(one, other, &format!("?limit={PAGE_LIMIT_MAX}&after={after}")).await.expect(200).array();
            if page.is_empty() {
                return messages;
            }
            messages.extend(page);
        }
    }

    /// Waits until the conversation has `count` messages and returns them.
    ///
    /// # Panics
    /// If it has more, or not so many in time.
    pub async fn readable(&self, one: &str, other: &str, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} readable messages"), async || {
            let messages = self.conversation(one, other).await;
            assert!(messages.len() <= count, "{} messages where {count} were sent: {messages:?}", messages.len());
            if messages.len() == count { Ok(messages) } else { Err(format!("{} messages", messages.len())) }
        })
        .await
    }

    /// What `GET /messages/id/…` says of a message, 404 included.
    pub async fn state(&self, id: &str) -> Answer {
        self.get(&format!("/messages/id/{id}")).await
    }

    /// Waits until a message has this state.
    ///
    /// # Panics
    /// If it has not in time.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        wait::until(&format!("state {state} of {id}"), async || {
            let answer = self.state(id).await;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer.status == 200 && body["state"] == state { Ok(body) } else { Err(answer.to_string()) }
        })
        .await
    }
}

/// The path of a conversation.
#[must_use]
pub fn path(one: &str, other: &str) -> String {
    format!("/messages/{}/{}", encode(one), encode(other))
}

/// Percent-encodes everything but ASCII letters and digits, which is right in paths and in queries.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A message's `seq`.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn seq(message: &Value) -> i64 {
    message["seq"].as_i64().unwrap_or_else(|| panic!("no seq in {message}"))
}

/// A message's `messageId`.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn id(message: &Value) -> String {
    message["messageId"].as_str().unwrap_or_else(|| panic!("no messageId in {message}")).to_owned()
}

/// The contents of messages, in their order.
#[must_use]
pub fn contents(messages: &[Value]) -> Vec<String> {
    messages.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}
