//! Which messages are verified.

use anyhow::bail;
use serde::Serialize;
use wiber_bridge::store;
use wiber_model::{Conversation, Message, MessageId, check_name, rfc3339_millis};

use crate::args::Verify;

/// Messages by the time that their ids carry, and by their conversation.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    conversation: Option<Conversation>,
}

/// A scope as JSON.
#[derive(Serialize)]
pub(super) struct Shown {
    from: Option<String>,
    to: Option<String>,
    conversation: Option<String>,
}

impl Scope {
    pub(super) fn of(arguments: &Verify) -> anyhow::Result<Self> {
        if let (Some(from), Some(to)) = (arguments.from, arguments.to)
            && from >= to
        {
            bail!("--from must be before --to");
        }
        for user in &arguments.conversation {
            if let Err(violation) = check_name("USER", user) {
                bail!("--conversation {user:?}: {}", violation.detail);
            }
        }
        let conversation = match arguments.conversation.as_slice() {
            [one, other] => Some(Conversation::of(one, other)),
            _ => None,
        };
        Ok(Self { from_ms: arguments.from, to_ms: arguments.to, conversation })
    }

    pub(super) fn is_everything(&self) -> bool {
        !self.is_timed() && self.conversation.is_none()
    }

    /// Whether the time bounds it.
    pub(super) fn is_timed(&self) -> bool {
        self.from_ms.is_some() || self.to_ms.is_some()
    }

    pub(super) fn start_ms(&self) -> Option<i64> {
        self.from_ms
    }

    pub(super) fn conversation(&self) -> Option<&Conversation> {
        self.conversation.as_ref()
    }

    pub(super) fn holds_time(&self, millis: i64) -> bool {
        self.from_ms.is_none_or(|from| millis >= from) && self.to_ms.is_none_or(|to| millis < to)
    }

    pub(super) fn holds_id(&self, id: &MessageId) -> bool {
        self.holds_time(id.millis())
    }

    pub(super) fn holds(&self, message: &Message) -> bool {
        self.holds_id(&message.message_id)
            && self.conversation.as_ref().is_none_or(|conversation| *conversation == message.conversation())
    }

    /// At least the documents of the scope.
    pub(super) fn documents(&self) -> store::Scope {
        match &self.conversation {
            Some(conversation) => store::Scope::Conversation(conversation.clone()),
            None if self.is_timed() => {
                store::Scope::Ids(self.from_ms.unwrap_or(i64::MIN), self.to_ms.unwrap_or(i64::MAX))
            }
            None => store::Scope::Everything,
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let text = |conversation: &Conversation| conversation.as_str().to_owned();
        Shown {
            from: self.from_ms.map(rfc3339_millis),
            to: self.to_ms.map(rfc3339_millis),
            conversation: self.conversation.as_ref().map(text),
        }
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let parts = [
            self.conversation.as_ref().map(|conversation| format!("conversation {conversation}")),
            self.from_ms.map(|from| format!("from {}", rfc3339_millis(from))),
            self.to_ms.map(|to| format!("before {}", rfc3339_millis(to))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
    }
}
