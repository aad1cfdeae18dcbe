//! Records that no outbox sent.

use wiber_model::record::{self, header};
use wiber_model::{Message, NewMessage};
use wiber_tests::kafka::Record;

/// When they were accepted, as their ids say: 2025-09-26T05:49:40.040Z.
const AT_MS: i64 = 1_758_865_780_040;

/// A message of [`AT_MS`].
pub(crate) fn message(from: &str, to: &str, content: &str) -> Message {
    let new = NewMessage { from_user: from.to_owned(), to_user: to.to_owned(), content: content.to_owned() };
    Message::accept(new, AT_MS, rand::random())
}

/// A sound record of a message, in the partition of its key.
pub(crate) fn record(message: &Message) -> Record {
    let key = message.conversation();
    let headers =
        [(header::ID, message.message_id.as_str()), (header::TYPE, record::TYPE), (header::REQUEST_ID, "r-1")];
    Record {
        partition: wiber_model::partition_of(key.as_str().as_bytes()),
        offset: 0,
        key: Some(key.as_str().as_bytes().to_vec()),
        value: Some(serde_json::to_vec(message).expect("a message is JSON")),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}
