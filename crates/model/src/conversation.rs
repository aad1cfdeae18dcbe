//! The conversation: an unordered pair of users, which is Kafka's key and the unit of order.

use std::fmt;

/// The key of a conversation: the JSON array of both names, sorted by their UTF-8 bytes, such as `["alice","bob"]`.
///
/// Changing this text would move conversations to other partitions and break their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation(String);

impl Conversation {
    /// The conversation of two users, in either order.
    #[must_use]
    pub fn of(one: &str, other: &str) -> Self {
        let pair = if one.as_bytes() <= other.as_bytes() { [one, other] } else { [other, one] };
        // Strings always serialise.
        Self(serde_json::to_string(&pair).unwrap_or_default())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_share_a_key() {
        assert_eq!(Conversation::of("bob", "alice").as_str(), r#"["alice","bob"]"#);
        assert_eq!(Conversation::of("alice", "bob"), Conversation::of("bob", "alice"));
        assert_eq!(Conversation::of("a\"b", "Z").as_str(), r#"["Z","a\"b"]"#);
        assert_eq!(Conversation::of("é", "z").as_str(), r#"["z","é"]"#);
    }
}
