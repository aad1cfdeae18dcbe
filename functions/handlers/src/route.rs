//! Paths. Spin and the embedded host choose the component by path; which path it is exactly, the component reads from
//! the URI itself: a host's path headers could be a client's, and its router strips trailing slashes.

use http::Method;

use crate::Head;
use crate::answer::Reply;
use crate::parameters::decode;
use crate::problem::Problem;

/// A path that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Send,
    SendBatch,
    Conversation(String, String),
    ConversationByQuery,
    Timeline(String),
    TimelineByQuery,
    Count,
    Message(String),
    Liveness,
    Readiness,
    ReadinessSend,
    ReadinessFetch,
    Welcome,
}

/// First segments under `/messages/` that are not a user's name.
const FIXED: [&str; 6] = ["user", "count", "id", "batch", "conversation", "timeline"];

impl Route {
    /// Reads a path.
    pub(crate) fn of(head: &Head) -> Result<Self, Problem> {
        let path = head.uri.path();
        let unknown = || Problem::not_found("no such path; GET / lists what there is");
        let segments: Vec<&str> = path.strip_prefix('/').ok_or_else(unknown)?.split('/').collect();
        let name = |segment: &str| decode(segment, "the path");
        Ok(match segments.as_slice() {
            [""] => Self::Welcome,
            ["messages"] => Self::Send,
            ["messages", "batch"] => Self::SendBatch,
            ["messages", "conversation"] => Self::ConversationByQuery,
            ["messages", "timeline"] => Self::TimelineByQuery,
            ["messages", "count"] => Self::Count,
            ["messages", "user", user] if !user.is_empty() => Self::Timeline(name(user)?),
            ["messages", "id", id] if !id.is_empty() => Self::Message(name(id)?),
            ["messages", first, second] if FIXED.contains(first) && !second.is_empty() => {
                let detail = "the first name is a fixed word of this API; use /messages/conversation?user1=&user2=";
                return Err(Problem::not_found(detail));
            }
            ["messages", one, other] if !one.is_empty() && !other.is_empty() => {
                Self::Conversation(name(one)?, name(other)?)
            }
            ["health", "liveness"] => Self::Liveness,
            ["health", "readiness"] => Self::Readiness,
            ["health", "readiness", "send"] => Self::ReadinessSend,
            ["health", "readiness", "fetch"] => Self::ReadinessFetch,
            _ => return Err(unknown()),
        })
    }

    /// The methods that the path answers.
    pub(crate) fn allow(&self) -> &'static str {
        if matches!(self, Self::Send | Self::SendBatch) { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" }
    }
}

/// What a request's method asks of a path.
pub(crate) enum Call {
    /// Do it.
    Act,
    /// Say what could be done.
    Options(Reply),
}

/// Checks the method against `allow`.
pub(crate) fn method(head: &Head, allow: &'static str) -> Result<Call, Problem> {
    if head.method == Method::OPTIONS {
        return Ok(Call::Options(Reply::options(allow)));
    }
    if allow.split(", ").any(|m| m == head.method.as_str()) {
        Ok(Call::Act)
    } else {
        Err(Problem::method_not_allowed(allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let head = http::Request::get(path).body(()).unwrap().into_parts().0;
        let actual = match Route::of(&head) {
            Ok(route) => format!("{route:?}"),
            Err(problem) => problem.status.as_str().to_owned(),
        };
        assert_eq!(actual, expected, "{path}");
    }

    #[test]
    fn paths() {
        check("/", "Welcome");
        check("/messages", "Send");
        check("/messages/", "404");
        check("/messages/batch", "SendBatch");
        check("/messages/batch/", "404");
        check("/messages/batch/alice", "404");
        check("/messages/alice", "404");
        check("/messages/alice/bob", r#"Conversation("alice", "bob")"#);
        check("/messages/alice/bob/", "404");
        check("/messages//bob", "404");
        check("/messages/a%2Fb/c+d", r#"Conversation("a/b", "c+d")"#);
        check("/messages/a%zz/b", "400");
        check("/messages/user/bob", r#"Timeline("bob")"#);
        check("/messages/user/", "404");
        check("/messages/alice/count", r#"Conversation("alice", "count")"#);
        check("/messages/count/alice", "404");
        check("/messages/%63ount/alice", r#"Conversation("count", "alice")"#);
        check("/messages/conversation", "ConversationByQuery");
        check("/messages/timeline", "TimelineByQuery");
        check("/messages/count", "Count");
        check("/messages/count/", "404");
        check("/messages/id/msg_1", r#"Message("msg_1")"#);
        check("/health/readiness/send", "ReadinessSend");
        check("/health/readiness/", "404");
        check("/health", "404");
        check("/nowhere", "404");
        check("//", "404");
    }
}
