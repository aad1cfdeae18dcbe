//! The body of a send: one message, or an array of them.

use wiber_model::{BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX, BODY_BYTES_MAX, NewMessage, Violation};

use super::Form;
use crate::json::{self, Document, Elements};
use crate::problem::Problem;

/// Most broken rules that are told of one element: thousands of unknown fields would make an answer that is many times as
/// long as the request.
const VIOLATIONS_OF_ELEMENT_MAX: usize = 8;

impl Form {
    /// Longest body.
    pub(super) fn body_bytes_max(self) -> usize {
        match self {
            Self::Single => BODY_BYTES_MAX,
            Self::Batch => BATCH_BODY_BYTES_MAX,
        }
    }
}

/// A body that is JSON.
pub(super) enum Read {
    Single(Document),
    Batch(Elements),
}

impl Read {
    pub(super) fn of(form: Form, bytes: &[u8]) -> Result<Self, Problem> {
        Ok(match form {
            Form::Single => Self::Single(json::parse(bytes)?),
            Form::Batch => Self::Batch(json::parse(bytes)?),
        })
    }

    /// The messages, or every rule that they break. An idempotency key belongs to a sender, so all must be of one then.
    pub(super) fn messages(self, has_key: bool) -> Result<Vec<NewMessage>, Vec<Violation>> {
        match self {
            Self::Single(document) => json::new_message(document, "the body").map(|message| vec![message]),
            Self::Batch(elements) => batch(elements, has_key),
        }
    }
}

fn batch(Elements(elements): Elements, has_key: bool) -> Result<Vec<NewMessage>, Vec<Violation>> {
    let of_body = |code, detail: String| Err(vec![Violation::new("body", code, detail)]);
    let Some((documents, count)) = elements else {
        return of_body("wrong-type", "the body must be a JSON array of messages".to_owned());
    };
    match count {
        0 => return of_body("too-short", format!("the body has no messages; it needs 1 to {BATCH_MESSAGES_MAX}")),
        1..=BATCH_MESSAGES_MAX => {}
        _ => {
            return of_body(
                "too-long",
                format!("the body has {count} messages; at most {BATCH_MESSAGES_MAX} are allowed"),
            );
        }
    }
    let mut messages: Vec<NewMessage> = Vec::with_capacity(documents.len());
    let mut violations = Vec::new();
    let mut sender: Option<String> = None;
    for (index, document) in documents.into_iter().enumerate() {
        match json::new_message(document, "an element") {
            Ok(message) => {
                let sender = sender.get_or_insert_with(|| message.from_user.clone());
                if has_key && *sender != message.from_user {
                    let detail = "with an Idempotency-Key all messages must have the same fromUser";
                    violations.push(Violation::new(&format!("[{index}].fromUser"), "another-sender", detail));
                }
                messages.push(message);
            }
            Err(broken) => {
                violations.extend(broken.into_iter().take(VIOLATIONS_OF_ELEMENT_MAX).map(|v| of_element(index, v)))
            }
        }
    }
    if violations.is_empty() { Ok(messages) } else { Err(violations) }
}

/// Names the element in the field: `[3].content`, or `[3]` for the element as a whole.
fn of_element(index: usize, violation: Violation) -> Violation {
    let field = match (violation.field.as_str(), violation.code.as_str()) {
        ("body", "wrong-type") => format!("[{index}]"),
        (field, _) => format!("[{index}].{field}"),
    };
    Violation { field, ..violation }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"fromUser":"alice","toUser":"bob","content":"Hello!"}"#;

    fn check(body: &str, has_key: bool, expected: &str) {
        let outcome = match Read::of(Form::Batch, body.as_bytes()) {
            Err(problem) => problem.code.to_owned(),
            Ok(read) => match read.messages(has_key) {
                Ok(messages) => messages.len().to_string(),
                Err(broken) => broken.iter().map(|v| format!("{}:{}", v.field, v.code)).collect::<Vec<_>>().join(" "),
            },
        };
        assert_eq!(outcome, expected, "{body}");
    }

    fn array(elements: &[&str]) -> String {
        format!("[{}]", elements.join(","))
    }

    #[test]
    fn numbers_of_messages_at_below_and_above_their_limits() {
        check(&array(&[GOOD; 1]), false, "1");
        check(&array(&[GOOD; 1_000]), false, "1000");
        check(&array(&[GOOD; 1_001]), false, "body:too-long");
        check("[]", false, "body:too-short");
        check(&array(&["1"; 100_000]), false, "body:too-long");
    }

    #[test]
    fn every_element_that_is_wrong_is_named() {
        let (other, long) = (GOOD.replace("alice", "carol"), GOOD.replace("Hello!", &"x".repeat(5_001)));
        check(
            &array(&[GOOD, "[]", &long, GOOD, r#"{"body":1}"#]),
            false,
            "[1]:wrong-type [2].content:too-long \
            [4].body:unknown-field [4].fromUser:missing [4].toUser:missing [4].content:missing",
        );
        check(&array(&[GOOD, &other]), false, "2");
        check(&array(&[GOOD, &other, GOOD, &other]), true, "[1].fromUser:another-sender [3].fromUser:another-sender");
        check(GOOD, false, "body:wrong-type");
        check(&array(&[GOOD, r#"{"fromUser":"\ud800"}"#]), false, "not-json");
        let unknown = format!("{{{}\"x\":1}}", "\"x\":1,".repeat(10_000));
        let Err(broken) = Read::of(Form::Batch, array(&[&unknown]).as_bytes()).unwrap().messages(false) else {
            panic!()
        };
        assert_eq!(broken.len(), VIOLATIONS_OF_ELEMENT_MAX);
    }

    #[test]
    #[ignore = "`cargo xtask budgets` counts what it costs"]
    fn cost_of_reading_a_message() {
        let body = GOOD.replace("Hello!", &"x".repeat(100));
        wiber_budget::repeat(|| Read::of(Form::Single, body.as_bytes()).unwrap().messages(true).unwrap());
    }
}
