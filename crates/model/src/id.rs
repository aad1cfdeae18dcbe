//! Message ids: `msg_<unix milliseconds>_<20 hex digits>`.

use std::fmt;

use serde::{Deserialize, Serialize};

const PREFIX: &str = "msg_";
const RANDOM_HEX: usize = 20;
/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
const MILLIS_MAX: i64 = 253_402_300_799_999;

/// A message's identity: unique by its 80 random bits. The milliseconds equal the message's `timestamp`; the order of
/// ids means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(String);

/// The text is not a message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: expected msg_<unix milliseconds>_<20 lower-case hex digits>")]
pub struct InvalidMessageId;

impl MessageId {
    /// The id of a message accepted at `millis` (Unix time), made unique by `random`.
    #[must_use]
    pub fn new(millis: i64, random: [u8; RANDOM_HEX / 2]) -> Self {
        use fmt::Write as _;
        let mut text = format!("{PREFIX}{}_", millis.clamp(0, MILLIS_MAX));
        for byte in random {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Reads an id back.
    ///
    /// # Errors
    /// If the text has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidMessageId> {
        let (millis, random) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidMessageId)?;
        let canonical = millis == "0" || !millis.starts_with('0');
        let digits = !millis.is_empty() && millis.bytes().all(|b| b.is_ascii_digit());
        let in_range = millis.parse::<i64>().is_ok_and(|m| m <= MILLIS_MAX);
        let hex = random.len() == RANDOM_HEX && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if canonical && digits && in_range && hex { Ok(Self(text.to_owned())) } else { Err(InvalidMessageId) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The milliseconds since the Unix epoch that the id carries.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.0[PREFIX.len()..].split('_').next().and_then(|m| m.parse().ok()).unwrap_or_default()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MessageId {
    type Error = InvalidMessageId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_with_its_milliseconds() {
        let id = MessageId::new(1_758_865_780_040, [0xe1, 6, 0x28, 0xbb, 0x5f, 0x1c, 0x4d, 0x2a, 0x9b, 7]);
        assert_eq!(id.as_str(), "msg_1758865780040_e10628bb5f1c4d2a9b07");
        assert_eq!(MessageId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(id.millis(), 1_758_865_780_040);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "msg_",
            "msg_1_",
            "msg__e10628bb5f1c4d2a9b07",
            "msg_01_e10628bb5f1c4d2a9b07",
            "msg_+1_e10628bb5f1c4d2a9b07",
            "msg_1_E10628bb5f1c4d2a9b07",
            "msg_1_e10628bb5f1c4d2a9b0",
            "msg_1_e10628bb5f1c4d2a9b070",
            "msg_999999999999999_e10628bb5f1c4d2a9b07",
            "msg_1_e10628bb5f1c4d2a9b07 ",
        ] {
            assert_eq!(MessageId::parse(text), Err(InvalidMessageId), "{text:?}");
        }
    }
}
