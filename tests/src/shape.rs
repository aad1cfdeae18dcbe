//! The shape of a message in an answer.

use std::collections::BTreeSet;

use serde_json::Value;
use wiber_model::{MessageId, rfc3339_millis};

/// Asserts that `message` is the answer to a send: exactly these members, with these values.
///
/// # Panics
/// If it is not.
pub fn check_accepted(message: &Value, from: &str, to: &str, content: &str) {
    check_members(message, &["messageId", "fromUser", "toUser", "content", "timestamp", "createdAt"]);
    assert_eq!(message["fromUser"], from);
    assert_eq!(message["toUser"], to);
    assert_eq!(message["content"], content);
    let id = MessageId::parse(message["messageId"].as_str().unwrap_or_default()).expect("the id's form");
    assert_eq!(message["timestamp"], id.millis());
    assert_eq!(message["createdAt"], rfc3339_millis(id.millis()));
}

/// Asserts that an object has exactly these members.
///
/// # Panics
/// If it has others, or is no object.
pub fn check_members(object: &Value, expected: &[&str]) {
    let members: BTreeSet<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, expected.iter().copied().collect(), "{object}");
}

/// The message as it must be read back at place `seq`.
#[must_use]
pub fn at_place(message: &Value, seq: i64) -> Value {
    let mut stored = message.clone();
    stored["seq"] = seq.into();
    stored
}

/// The message in what `GET /messages/id/…` answers, without its state and its ledger.
#[must_use]
pub fn without_ledger(answer: &Value) -> Value {
    let mut message = answer.clone();
    if let Some(members) = message.as_object_mut() {
        members.remove("state");
        members.remove("ledger");
    }
    message
}
