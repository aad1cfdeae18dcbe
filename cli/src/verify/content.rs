//! A message in 24 bytes: its id, whole, and a digest of everything else.

use sha2::{Digest as _, Sha256};
use wiber_bridge::store::MessageDocument;
use wiber_model::{Message, MessageId};

const MILLIS_BYTES: usize = 6;
const RANDOM_BYTES: usize = 10;

/// A message id in 16 bytes, without loss: 48 bits of milliseconds, 80 random ones. Sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id([u8; MILLIS_BYTES + RANDOM_BYTES]);

impl Id {
    pub(super) fn of(id: &MessageId) -> Self {
        let mut packed = [0; MILLIS_BYTES + RANDOM_BYTES];
        // The latest time that an id can carry is below 2^48.
        packed[..MILLIS_BYTES].copy_from_slice(&id.millis().to_be_bytes()[8 - MILLIS_BYTES..]);
        let hex = id.as_str().rsplit('_').next().unwrap_or_default();
        for (index, byte) in packed[MILLIS_BYTES..].iter_mut().enumerate() {
            *byte = hex.get(2 * index..2 * index + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        }
        Self(packed)
    }

    pub(super) fn millis(self) -> i64 {
        self.0[..MILLIS_BYTES].iter().fold(0, |millis, byte| (millis << 8) | i64::from(*byte))
    }

    pub(super) fn message_id(self) -> MessageId {
        let mut random = [0; RANDOM_BYTES];
        random.copy_from_slice(&self.0[MILLIS_BYTES..]);
        MessageId::new(self.millis(), random)
    }
}

/// The first 64 bits of the SHA-256 of sender, receiver, content and time.
pub(super) fn digest(message: &Message) -> u64 {
    let mut hash = Sha256::new();
    for text in [&message.from_user, &message.to_user, &message.content, &message.created_at] {
        // The length keeps one field's end apart from the next one's beginning.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(message.timestamp.to_be_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first)
}

/// What a document says of its message against itself, if it does: a field that follows from others and does not agree.
pub(super) fn contradiction(document: &MessageDocument) -> Option<String> {
    let message = document.clone().into_stored().message;
    let right =
        MessageDocument::new(&message, document.seq, document.log.clone(), document.hops, document.trace.clone());
    let checks = [
        ("conversation", right.conversation == document.conversation),
        ("participants", right.participants == document.participants),
        ("timestamp", message.timestamp == message.message_id.millis()),
    ];
    let wrong = checks.into_iter().find(|(_, agrees)| !agrees)?.0;
    Some(format!("its document's {wrong} does not follow from its other fields"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wiber_model::NewMessage;

    use super::*;

    proptest! {
        #[test]
        fn an_id_survives_packing(millis in 0..253_402_300_799_999_i64, random: [u8; 10]) {
            let id = MessageId::new(millis, random);
            prop_assert_eq!(Id::of(&id).message_id(), id);
        }
    }

    #[test]
    fn every_field_counts() {
        let message = |from: &str, to: &str, content: &str| {
            let new = NewMessage { from_user: from.into(), to_user: to.into(), content: content.into() };
            digest(&Message::accept(new, 5, [7; 10]))
        };
        let all = [message("a", "b", "c"), message("b", "a", "c"), message("a", "bc", ""), message("ab", "", "c")];
        let distinct: std::collections::HashSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], message("a", "b", "c"));
    }
}
