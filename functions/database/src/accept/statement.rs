//! The statement that accepts, and what it is given.

use std::collections::HashSet;

use serde::{Serialize, Serializer};

use super::Batch;

/// An entry as the statement reads it: an array, since a member by its name costs SQLite a search. The message is a text
/// within the text: SQLite before 3.45 cuts a JSON string at an escaped NUL, and as a text of its own the escape never
/// reaches its parser.
pub(super) struct Item<'a> {
    id: &'a str,
    message: &'a str,
    request: &'a str,
    trace: &'a str,
    at: i64,
    bytes: i64,
    /// Rows and bytes of this batch and all earlier ones of the statement: the bound holds for each batch on its own.
    rows_sum: i64,
    bytes_sum: i64,
    key: Option<ItemKey<'a>>,
}

struct ItemKey<'a> {
    user: &'a str,
    /// The key that the message is recorded under.
    key: String,
    /// The key as its sender gave it.
    given: &'a str,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id, message, request, trace, at, bytes, rows_sum, bytes_sum, key } = self;
        match key {
            None => (id, message, request, trace, at, bytes, rows_sum, bytes_sum).serialize(serializer),
            Some(ItemKey { user, key, given }) => {
                (id, message, request, trace, at, bytes, rows_sum, bytes_sum, user, key, given).serialize(serializer)
            }
        }
    }
}

/// The statement where no batch has a key.
const PLAIN: &str = "INSERT INTO outbox (message_id, message, request_id, traceparent, accepted_at, bytes)
    SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5
    FROM counters AS c, json_each(?1) AS e
    WHERE c.messages + c.keys + (e.value ->> 6) <= ?2 AND c.bytes + (e.value ->> 7) <= ?3
    ORDER BY e.key";

// Everything is selected before the first row is inserted, since the table has triggers (SQLite's insert.c), so that a
// batch's own first row does not take the key from the others.
const KEYED: &str =
    "INSERT INTO outbox (message_id, message, request_id, traceparent, accepted_at, bytes, key_user, key)
    SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5,
           e.value ->> 8, e.value ->> 9
    FROM counters AS c, json_each(?1) AS e
    WHERE c.messages + c.keys + (e.value ->> 6) <= ?2 AND c.bytes + (e.value ->> 7) <= ?3
        AND (e.value ->> 9 IS NULL OR NOT EXISTS (SELECT 1 FROM idempotency AS i WHERE i.user = e.value ->> 8
            AND i.key IN (e.value ->> 10, (e.value ->> 10) || char(10))))
    ORDER BY e.key";

/// The statement that takes these batches.
pub(super) fn accept(batches: &[&Batch]) -> &'static str {
    if batches.iter().any(|batch| batch.key.is_some()) { KEYED } else { PLAIN }
}

/// The statement's items. Of batches with one key all but the first are left out, whatever becomes of that.
pub(super) fn items<'a>(batches: &[&'a Batch]) -> Vec<Item<'a>> {
    let (mut rows_sum, mut bytes_sum) = (0_i64, 0_i64);
    let mut keys = HashSet::new();
    let mut items = Vec::with_capacity(batches.len());
    for batch in batches {
        if batch.key.as_ref().is_some_and(|key| !keys.insert((&key.user, &key.key))) {
            continue;
        }
        let (rows, bytes) = batch.cost();
        rows_sum = rows_sum.saturating_add(rows);
        bytes_sum = bytes_sum.saturating_add(bytes);
        items.extend(batch.entries.iter().enumerate().map(|(index, entry)| Item {
            id: &entry.message_id,
            message: &entry.json,
            request: &batch.request_id,
            trace: &batch.traceparent,
            at: entry.accepted_at,
            bytes: batch.bytes(entry),
            rows_sum,
            bytes_sum,
            key: batch.key.as_ref().map(|key| ItemKey {
                user: &key.user,
                key: key.of_message(index, batch.first_id()),
                given: &key.key,
            }),
        }));
    }
    items
}

#[cfg(test)]
mod tests {
    use wiber_model::{Message, NewMessage};

    use super::*;
    use crate::{Entry, Form, Key};

    #[test]
    #[ignore = "`cargo xtask budgets` counts what it costs"]
    fn cost_of_encoding_a_message() {
        let new = NewMessage { from_user: "alice".into(), to_user: "bob".into(), content: "x".repeat(100) };
        let message = Message::accept(new, 1_758_865_780_040, [7; 10]);
        let key = Some(Key { user: "alice".into(), key: "key".into(), form: Form::Single });
        wiber_budget::repeat(|| {
            let entries = vec![Entry::new(&message).unwrap()];
            let batch = Batch { entries, key: key.clone(), request_id: "request".into(), traceparent: "trace".into() };
            serde_json::to_string(&items(&[&batch])).unwrap()
        });
    }
}
