//! Sending: `POST /messages`, `POST /messages/batch`, and whether it would work: `GET /health/readiness/send`.

mod request;

use wiber_model::{Message, NewMessage, Violation};

use crate::answer::{self, Answer, Reply};
use crate::body::{self, Body};
use crate::context::{Context, Entropy};
use crate::headers::{idempotency_key, require_json};
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::route::{self, Call, Route};
use crate::settings::Settings;
use crate::status::{Condition, readiness};
use crate::{Head, SettingsError};

/// How many messages a request may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One, as an object.
    Single,
    /// Some, as an array.
    Batch,
}

/// Messages on their way into the outbox, all of them or none, with what travels beside them.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The messages in their order, at least one.
    pub messages: Vec<Message>,
    /// How they were sent.
    pub form: Form,
    /// The idempotency key of their sender, who is the same for all then.
    pub key: Option<String>,
    /// The sender's request id.
    pub request_id: String,
    /// The sender's trace context.
    pub traceparent: String,
}

/// What the outbox did with a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable.
    New,
    /// Its key was used before, for these messages, in the same form.
    Earlier(Vec<Message>),
    /// Its key was used before, for another request.
    Other,
    /// The outbox is at its bound; nothing was written.
    Full,
}

/// Why the outbox could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// Nothing was written; the reason is for the caller.
    #[error("{0}")]
    Refused(String),
    /// The write may have taken effect.
    #[error("the outcome is unknown")]
    Unknown,
}

/// The outbox as the send function needs it.
#[allow(async_fn_in_trait, reason = "components are single-threaded; no caller needs Send")]
pub trait Outbox {
    /// Makes a submission durable; returns only after its commit and fsync. A key that was used before gets its message
    /// also where nothing can be written, whatever became of it since.
    async fn accept(&self, submission: Submission) -> Result<Accepted, OutboxError>;
    /// How the outbox is, by a write of just now. An error is a reason for which nothing can be accepted.
    async fn condition(&self) -> Result<Condition, String>;
}

/// Answers one request.
pub async fn respond(
    head: &Head,
    body: &mut impl Body,
    outbox: &impl Outbox,
    entropy: &impl Entropy,
    settings: &Result<Settings, SettingsError>,
) -> Answer {
    answer::respond(head, entropy, settings, async |_, context| decide(head, body, outbox, entropy, context).await)
        .await
}

async fn decide(
    head: &Head,
    body: &mut impl Body,
    outbox: &impl Outbox,
    entropy: &impl Entropy,
    context: &Context,
) -> Result<Reply, Problem> {
    let route = Route::of(head)?;
    if !matches!(route, Route::Send | Route::SendBatch | Route::ReadinessSend) {
        return Err(Problem::not_found("no such path; GET / lists what there is"));
    }
    if let Call::Options(reply) = route::method(head, route.allow())? {
        return Ok(reply);
    }
    if route == Route::ReadinessSend {
        Parameters::parse(head.uri.query())?.only(&[]).finish()?;
        return Ok(readiness::send(outbox.condition().await));
    }
    let form = if route == Route::SendBatch { Form::Batch } else { Form::Single };
    require_json(head, form.body_bytes_max())?;
    let bytes = body::read(body, form.body_bytes_max()).await?;
    let read = request::Read::of(form, &bytes)?;
    drop(bytes);
    let key = idempotency_key(head)?;
    let parameters = Parameters::parse(head.uri.query())?.only(&[]).finish();
    let new = match (read.messages(key.is_some()), parameters) {
        (Ok(new), Ok(())) => new,
        (Ok(_), Err(problem)) => return Err(problem),
        (Err(fields), parameters) => {
            let unknown = parameters.err().map(|problem| problem.errors).unwrap_or_default();
            return Err(Problem::invalid(fields.into_iter().chain(unknown).collect()));
        }
    };
    accept(new, form, key, outbox, entropy, context).await
}

async fn accept(
    new: Vec<NewMessage>,
    form: Form,
    key: Option<String>,
    outbox: &impl Outbox,
    entropy: &impl Entropy,
    context: &Context,
) -> Result<Reply, Problem> {
    let now = entropy.now_ms();
    let accept = |new| {
        let mut random = [0; 10];
        random.copy_from_slice(&entropy.random().to_be_bytes()[..10]);
        Message::accept(new, now, random)
    };
    let messages: Vec<Message> = new.into_iter().map(accept).collect();
    let submission = Submission {
        messages: messages.clone(),
        form,
        key,
        request_id: context.request_id.clone(),
        traceparent: context.traceparent.clone(),
    };
    match outbox.accept(submission).await.map_err(problem)? {
        Accepted::New => Ok(form.reply(&messages)),
        Accepted::Earlier(earlier) if is_same(&earlier, &messages) => Ok(form.reply(&earlier)),
        Accepted::Earlier(_) | Accepted::Other => {
            let detail = "this key was used by the same sender for another request";
            Err(Problem::invalid(vec![Violation::new("Idempotency-Key", "key-reused", detail)]))
        }
        Accepted::Full => Err(Problem::unavailable("outbox-full", "the outbox is full; nothing was written")),
    }
}

/// Whether two requests said the same.
fn is_same(earlier: &[Message], now: &[Message]) -> bool {
    earlier.len() == now.len()
        && earlier.iter().zip(now).all(|(earlier, now)| {
            earlier.from_user == now.from_user && earlier.to_user == now.to_user && earlier.content == now.content
        })
}

impl Form {
    /// The answer: in the form of the request.
    fn reply(self, messages: &[Message]) -> Reply {
        match (self, messages) {
            (Self::Single, [message]) => Reply::json(message),
            _ => Reply::json(&messages),
        }
    }
}

fn problem(error: OutboxError) -> Problem {
    match error {
        OutboxError::Refused(reason) => Problem::unavailable("outbox-unavailable", reason),
        OutboxError::Unknown => Problem::outcome_unknown(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::fakes::{Chunks, Fixed, get, post};

    /// An outbox that does what it is told; the real one is tested with the database.
    #[derive(Default)]
    struct Scripted {
        outcome: Option<Result<Accepted, OutboxError>>,
        condition: Option<Result<Condition, String>>,
        accepted: RefCell<Vec<Submission>>,
    }

    impl Outbox for Scripted {
        async fn accept(&self, submission: Submission) -> Result<Accepted, OutboxError> {
            self.accepted.borrow_mut().push(submission);
            self.outcome.clone().unwrap_or(Ok(Accepted::New))
        }

        async fn condition(&self) -> Result<Condition, String> {
            self.condition.clone().unwrap_or_else(|| Err("not asked for".into()))
        }
    }

    const GOOD: &str = r#"{"fromUser":"alice","toUser":"bob","content":"Hello!"}"#;

    async fn send(head: Head, body: &str, outbox: &Scripted) -> (u16, serde_json::Value) {
        let mut body = Chunks::of(body.as_bytes());
        let answer = respond(&head, &mut body, outbox, &Fixed, &Ok(Settings::default())).await;
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    async fn check(head: Head, body: &str, status: u16, code: &str) {
        let outbox = Scripted::default();
        let (actual, json) = send(head, body, &outbox).await;
        assert_eq!((actual, json["code"].as_str().unwrap_or("")), (status, code), "{json}");
        assert_eq!(outbox.accepted.borrow().len(), usize::from(status == 200));
    }

    fn with(headers: &[(&str, &str)]) -> Head {
        post("/messages", headers)
    }

    #[tokio::test]
    async fn errors_are_decided_in_their_order() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        check(post("/messages/", &[]), "x", 404, "not-found").await;
        check(get("/messages"), "", 405, "method-not-allowed").await;
        check(get("/messages/batch"), "", 405, "method-not-allowed").await;
        check(with(&[("content-length", "99999999")]), "x", 415, "unsupported-media-type").await;
        check(with(&[JSON, ("content-length", "65537")]), "x", 413, "body-too-large").await;
        check(with(&[JSON]), &"x".repeat(65_537), 413, "body-too-large").await;
        check(with(&[JSON, ("idempotency-key", "a b")]), "x", 400, "not-json").await;
        check(with(&[JSON, ("idempotency-key", "a b")]), "{}", 400, "bad-idempotency-key").await;
        check(with(&[JSON]), "{}", 422, "invalid").await;
        check(post("/messages?x=1", &[JSON]), GOOD, 422, "invalid").await;
        check(post("/messages?%zz=1", &[JSON]), GOOD, 400, "bad-percent-encoding").await;
        check(with(&[JSON]), GOOD, 200, "").await;
        let batch = |headers: &[(&str, &str)]| post("/messages/batch", headers);
        check(batch(&[]), "x", 415, "unsupported-media-type").await;
        check(batch(&[JSON, ("content-length", "8388609")]), "x", 413, "body-too-large").await;
        check(batch(&[JSON]), &" ".repeat(8_388_609), 413, "body-too-large").await;
        check(batch(&[JSON]), &format!("[{GOOD}"), 400, "not-json").await;
        check(batch(&[JSON, ("idempotency-key", "a b")]), "[]", 400, "bad-idempotency-key").await;
        check(batch(&[JSON]), GOOD, 422, "invalid").await;
        check(batch(&[JSON]), &format!("[{GOOD}]"), 200, "").await;
    }

    #[tokio::test]
    async fn the_answer_is_the_message_with_the_callers_identities() {
        let outbox = Scripted::default();
        let head = with(&[("content-type", "application/json"), ("x-request-id", "r-1"), ("idempotency-key", "\"k\"")]);
        let (status, json) = send(head, GOOD, &outbox).await;
        assert_eq!(status, 200);
        assert_eq!(json["messageId"], "msg_1758865780040_00000000000000000000");
        assert_eq!(json["createdAt"], "2025-09-26T05:49:40.040Z");
        let accepted = outbox.accepted.borrow();
        assert_eq!((accepted[0].key.as_deref(), accepted[0].request_id.as_str()), (Some("k"), "r-1"));
    }

    async fn ready(uri: &str, condition: Result<bool, &str>, status: u16, part: &str) {
        let condition = condition.map_err(str::to_owned).map(|full| Condition {
            outbox_id: "o".into(),
            full,
            journal: "wal".into(),
            note: None,
        });
        let outbox = Scripted { condition: Some(condition), ..Scripted::default() };
        let (actual, json) = send(get(uri), "", &outbox).await;
        assert_eq!(actual, status, "{json}");
        assert!(json.to_string().contains(part), "{json}");
    }

    #[tokio::test]
    async fn sending_is_ready_by_itself() {
        const PATH: &str = "/health/readiness/send";
        ready(PATH, Ok(false), 200, r#""outbox":"accepting""#).await;
        ready(PATH, Ok(true), 503, r#""outbox":"full""#).await;
        ready(PATH, Err("the disk is full"), 503, r#""outbox":"not durable""#).await;
        ready(PATH, Err("the disk is full"), 503, r#"["the disk is full"]"#).await;
        ready("/health/readiness/send?x=1", Ok(false), 422, "unknown-parameter").await;
    }

    async fn outcome(outcome: Result<Accepted, OutboxError>, status: u16, code: &str) {
        let outbox = Scripted { outcome: Some(outcome), ..Scripted::default() };
        let (actual, json) = send(with(&[("content-type", "application/json")]), GOOD, &outbox).await;
        assert_eq!((actual, json["code"].as_str().unwrap_or("")), (status, code));
    }

    #[tokio::test]
    async fn only_an_open_outcome_is_a_500() {
        outcome(Ok(Accepted::Full), 503, "outbox-full").await;
        outcome(Err(OutboxError::Refused("not durable".into())), 503, "outbox-unavailable").await;
        outcome(Err(OutboxError::Unknown), 500, "outcome-unknown").await;
    }

    fn earlier(messages: &[(&str, &str)]) -> Scripted {
        let accept = |(to, content): &(&str, &str)| {
            let new = NewMessage { from_user: "alice".into(), to_user: (*to).into(), content: (*content).into() };
            Message::accept(new, 5, [9; 10])
        };
        let messages = messages.iter().map(accept).collect();
        Scripted { outcome: Some(Ok(Accepted::Earlier(messages))), ..Scripted::default() }
    }

    const KEYED: [(&str, &str); 2] = [("content-type", "application/json"), ("idempotency-key", "k")];

    #[tokio::test]
    async fn a_repeated_key_answers_with_the_first_message_or_names_the_difference() {
        let outbox = earlier(&[("bob", "Hello!")]);
        let (status, json) = send(with(&KEYED), GOOD, &outbox).await;
        assert_eq!((status, json["timestamp"].as_i64()), (200, Some(5)));
        let (status, json) = send(with(&KEYED), &GOOD.replace("Hello", "Bye"), &outbox).await;
        assert_eq!((status, json["errors"][0]["code"].as_str()), (422, Some("key-reused")));
    }

    fn array(messages: &[&str]) -> String {
        format!("[{}]", messages.join(","))
    }

    #[tokio::test]
    async fn a_batch_is_answered_in_its_order() {
        let outbox = Scripted::default();
        let body = array(&[GOOD, &GOOD.replace("Hello", "Bye"), &GOOD.replace("alice", "carol")]);
        let (status, json) =
            send(post("/messages/batch", &[("content-type", "application/json")]), &body, &outbox).await;
        let contents: Vec<&str> = json.as_array().unwrap().iter().filter_map(|m| m["content"].as_str()).collect();
        assert_eq!((status, contents), (200, vec!["Hello!", "Bye!", "Hello!"]));
        let accepted = outbox.accepted.borrow();
        assert_eq!((accepted.len(), accepted[0].messages.len(), accepted[0].form), (1, 3, Form::Batch));
    }

    #[tokio::test]
    async fn a_repeated_batch_is_the_same_in_form_number_and_fields() {
        let batch = |messages: &[&str]| (post("/messages/batch", &KEYED), array(messages));
        let (one, other) = (GOOD, GOOD.replace("Hello", "Bye"));
        let outbox = earlier(&[("bob", "Hello!"), ("bob", "Bye!")]);
        let mut outcomes = Vec::new();
        for (head, body) in [
            batch(&[one, &other]),
            batch(&[&other, one]),
            batch(&[one]),
            batch(&[one, &other, one]),
            (with(&KEYED), one.to_owned()),
        ] {
            outcomes.push(send(head, &body, &outbox).await.0);
        }
        assert_eq!(outcomes, [200, 422, 422, 422, 422]);
        let outbox = Scripted { outcome: Some(Ok(Accepted::Other)), ..Scripted::default() };
        let (head, body) = batch(&[one]);
        assert_eq!(send(head, &body, &outbox).await.0, 422);
    }
}
