//! Query strings and path segments: decoded once, every broken rule collected.

use percent_encoding::percent_decode_str;
use wiber_model::Violation;

use crate::problem::Problem;

/// A query string's parameters, in order.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    violations: Vec<Violation>,
}

impl Parameters {
    /// Reads a query string, where `+` is a space (application/x-www-form-urlencoded).
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let decode = |text: &str| decode(&text.replace('+', " "), "the query string");
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Self { pairs, violations: Vec::new() })
    }

    /// Notes every parameter outside `known` and every one given twice.
    pub(crate) fn only(mut self, known: &[&str]) -> Self {
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &self.pairs {
            if !known.contains(&name.as_str()) {
                let shown: String = name.chars().take(64).collect();
                let detail = format!(
                    "unknown parameter; known here: {}",
                    if known.is_empty() { "none".into() } else { known.join(", ") }
                );
                self.violations.push(Violation::new(&shown, "unknown-parameter", detail));
            } else if seen.contains(&name.as_str()) {
                self.violations.push(Violation::new(name, "repeated", format!("{name} is given more than once")));
            }
            seen.push(name);
        }
        self
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A user's name that must be given.
    pub(crate) fn user(&mut self, name: &str) -> String {
        let found = self.optional_user(name);
        if found.is_none() && self.text(name).is_none() {
            self.violate(Violation::new(name, "missing", format!("{name} is missing")));
        }
        found.unwrap_or_default()
    }

    /// A user's name that may be left out.
    pub(crate) fn optional_user(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?.to_owned();
        if let Err(violation) = wiber_model::check_name(name, &text) {
            self.violate(violation);
            return None;
        }
        Some(text)
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn number(&mut self, name: &str, min: i64, max: i64) -> Option<i64> {
        let text = self.text(name)?;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
        if number.is_none() {
            let limit = if max == i64::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
            self.violate(Violation::new(name, "out-of-range", format!("{name} must be a whole number, {limit}")));
        }
        number
    }

    pub(crate) fn violate(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// Ends the reading: all rules kept, or all broken ones named.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.violations.is_empty() { Ok(()) } else { Err(Problem::invalid(self.violations)) }
    }
}

/// Decodes percent-encoding strictly.
pub(crate) fn decode(text: &str, place: &str) -> Result<String, Problem> {
    let bad = |what: &str| Problem::bad_request("bad-percent-encoding", format!("{place} {what}"));
    let bytes = text.as_bytes();
    let broken = (0..bytes.len()).any(|i| {
        bytes[i] == b'%'
            && !(bytes.len() > i + 2 && bytes[i + 1].is_ascii_hexdigit() && bytes[i + 2].is_ascii_hexdigit())
    });
    if broken {
        return Err(bad("has a % that two hex digits do not follow"));
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| bad("does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_space_in_a_query_and_a_plus_in_a_path() {
        assert_eq!(Parameters::parse(Some("user=a+b%2B")).unwrap().text("user"), Some("a b+"));
        assert_eq!(decode("a+b", "the path").unwrap(), "a+b");
    }

    #[test]
    fn broken_encodings_are_refused() {
        for bad in ["%", "%4", "%zz", "a%", "%ff", "%c3%28"] {
            assert!(decode(bad, "the path").is_err(), "{bad}");
            assert!(Parameters::parse(Some(&format!("x={bad}"))).is_err(), "{bad}");
        }
    }

    fn number(query: &str, expected: Option<i64>) {
        let mut parameters = Parameters::parse(Some(query)).unwrap().only(&["limit"]);
        assert_eq!(parameters.number("limit", 1, 500), expected, "{query}");
    }

    #[test]
    fn numbers_at_below_and_above_their_limits() {
        number("limit=1", Some(1));
        number("limit=500", Some(500));
        number("limit=0", None);
        number("limit=501", None);
        number("limit=", None);
        number("limit=-1", None);
        number("limit=%2B1", None);
        number("limit=1.0", None);
        number("limit=99999999999999999999", None);
        number("", None);
    }
}
