//! Objects that users send, read strictly: every broken rule is collected, repeated and unknown fields included.

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use wiber_model::{BATCH_MESSAGES_MAX, NewMessage, Violation};

use crate::problem::Problem;

/// The fields of a message.
const FIELDS: [&str; 3] = ["fromUser", "toUser", "content"];
/// How many unknown or repeated fields of an object are looked at: all of millions would take many times the body's memory.
const OTHER_FIELDS_MAX: usize = 100;

/// Reads bytes as JSON text.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Problem::bad_request("not-utf8", format!("the body is not UTF-8 from byte {} on", e.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|e| {
        Problem::bad_request("not-json", format!("the body is not JSON at line {} column {}", e.line(), e.column()))
    })
}

/// A JSON value that remembers, if it is an object, its fields in order with repetitions: each with its text, or `None`
/// where it is no string. What is in other values is not looked at, so neither a number beyond every range nor the
/// deepest nesting makes a body anything but JSON.
#[derive(Debug)]
pub(crate) enum Document {
    Object(Vec<(String, Option<String>)>),
    Other,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Ok(Self::Other);
        }
        serde_json::from_str(raw.get()).map(|Fields(fields)| Self::Object(fields)).map_err(D::Error::custom)
    }
}

/// The fields of an object.
struct Fields(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let (mut fields, mut others): (Vec<(String, Option<String>)>, usize) = (Vec::new(), 0);
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    let value = text(value).map_err(A::Error::custom)?;
                    let is_new = FIELDS.contains(&name.as_str()) && !fields.iter().any(|(known, _)| *known == name);
                    if is_new || others < OTHER_FIELDS_MAX {
                        others += usize::from(!is_new);
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The value's text if it is a string; an error if that has an escape which is no character.
fn text(value: &RawValue) -> Result<Option<String>, serde_json::Error> {
    value.get().starts_with('"').then(|| serde_json::from_str(value.get())).transpose()
}

/// The elements of a JSON array, the first [`BATCH_MESSAGES_MAX`] of them, and how many there are; `None` where it is
/// another value.
#[derive(Debug)]
pub(crate) struct Elements(pub(crate) Option<(Vec<Document>, usize)>);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('[') {
            return Ok(Self(None));
        }
        serde_json::from_str(raw.get()).map(|First(first, count)| Self(Some((first, count)))).map_err(D::Error::custom)
    }
}

/// The first elements of an array, and the number of all.
struct First(Vec<Document>, usize);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;

        impl<'de> Visitor<'de> for Counting {
            type Value = First;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<First, A::Error> {
                let mut first = Vec::new();
                while first.len() < BATCH_MESSAGES_MAX {
                    let Some(document) = elements.next_element()? else { break };
                    first.push(document);
                }
                let mut count = first.len();
                // Millions of them may follow, which are not kept.
                while elements.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(First(first, count))
            }
        }

        deserializer.deserialize_seq(Counting)
    }
}

/// Reads a message to send; `what` is what it stands in.
pub(crate) fn new_message(document: Document, what: &str) -> Result<NewMessage, Vec<Violation>> {
    let Document::Object(fields) = document else {
        let detail = format!("{what} must be a JSON object with fromUser, toUser and content");
        return Err(vec![Violation::new("body", "wrong-type", detail)]);
    };
    let mut values: [Option<String>; 3] = [None, None, None];
    let mut seen = [false; 3];
    let mut violations = Vec::new();
    for (name, value) in fields {
        let Some(index) = FIELDS.iter().position(|f| *f == name) else {
            let field: String = name.chars().take(64).collect();
            violations.push(Violation::new(&field, "unknown-field", "only fromUser, toUser and content are known"));
            continue;
        };
        let field = FIELDS[index];
        if std::mem::replace(&mut seen[index], true) {
            violations.push(Violation::new(field, "repeated", format!("{field} is given more than once")));
            continue;
        }
        match value {
            Some(text) => values[index] = Some(text),
            None => violations.push(Violation::new(field, "wrong-type", format!("{field} must be a string"))),
        }
    }
    for (field, _) in FIELDS.iter().zip(seen).filter(|(_, seen)| !seen) {
        violations.push(Violation::new(field, "missing", format!("{field} is missing")));
    }
    // Limits are checked for the fields that are there, so that one answer names every broken rule.
    let checks = [wiber_model::check_name, wiber_model::check_name, wiber_model::check_content];
    for ((field, check), value) in FIELDS.iter().zip(checks).zip(&values) {
        violations.extend(value.as_deref().and_then(|text| check(field, text).err()));
    }
    match values {
        [Some(from_user), Some(to_user), Some(content)] if violations.is_empty() => {
            Ok(NewMessage { from_user, to_user, content })
        }
        _ => Err(violations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let outcome = match parse::<Document>(body.as_bytes()) {
            Err(problem) => problem.code.to_owned(),
            Ok(document) => match new_message(document, "the body") {
                Ok(_) => "ok".to_owned(),
                Err(violations) => {
                    violations.iter().map(|v| format!("{}:{}", v.field, v.code)).collect::<Vec<_>>().join(" ")
                }
            },
        };
        assert_eq!(outcome, expected, "{body}");
    }

    #[test]
    fn a_body_is_read_strictly() {
        check(r#"{"fromUser":"a","toUser":"b","content":"c"}"#, "ok");
        check(r#"{"content":"c","fromUser":"a","toUser":"a"}"#, "ok");
        check("{}", "fromUser:missing toUser:missing content:missing");
        check(r#"{"fromUser":"a","toUser":"b","content":"c","x":1}"#, "x:unknown-field");
        check(r#"{"fromUser":"a","fromUser":"a","toUser":"b","content":"c"}"#, "fromUser:repeated");
        check(
            r#"{"fromUser":1,"toUser":null,"content":["c"]}"#,
            "fromUser:wrong-type toUser:wrong-type content:wrong-type",
        );
        check(
            r#"{"fromUser":"","toUser":" b","content":""}"#,
            "fromUser:too-short toUser:white-space content:too-short",
        );
        for other in ["[]", "1", "-1", "1.5", "1e999", "true", "null", "\"x\"", " [1]"] {
            check(other, "body:wrong-type");
        }
    }

    #[test]
    fn a_value_is_judged_as_its_field_whatever_it_holds() {
        let content = |value: &str| format!(r#"{{"fromUser":"a","toUser":"b","content":{value}}}"#);
        check(&content("1e999"), "content:wrong-type");
        check(&content("-1e-999999999999"), "content:wrong-type");
        check(&content(&format!("{}1", "9".repeat(400))), "content:wrong-type");
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        check(&content(&deep(200)), "content:wrong-type");
        check(&content(&deep(30_000)), "content:wrong-type");
        check(&content(&r#"{"a":"#.repeat(9_000)), "not-json");
        check(&deep(30_000), "body:wrong-type");
        check(&content(r#""c","x":1e999"#), "x:unknown-field");
        check(&content(r#""\ud83d\ude00 \u0041""#), "ok");
        check(&content(r#""c","x":"\ud800""#), "not-json");
    }

    #[test]
    fn a_field_is_found_behind_any_number_of_others() {
        let body = format!("{{{}\"fromUser\":\"a\",\"toUser\":\"b\",\"content\":\"c\"}}", "\"x\":1,".repeat(5_000));
        let violations = new_message(parse::<Document>(body.as_bytes()).unwrap(), "the body").unwrap_err();
        assert_eq!(violations.len(), OTHER_FIELDS_MAX);
        assert!(violations.iter().all(|violation| violation.field == "x"));
    }

    #[test]
    fn what_is_not_json_is_said_by_place() {
        for bad in ["", "{", "{\"fromUser\":\"a\",}", "hello", "{} {}", r#"{"fromUser":"\ud800"}"#, "\u{feff}{}"] {
            check(bad, "not-json");
        }
        assert_eq!(parse::<Document>(b"{\"a\":\"\xff\"}").unwrap_err().code, "not-utf8");
    }
}
