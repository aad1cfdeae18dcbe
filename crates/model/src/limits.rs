//! Every limit that a user can meet, and the checks that hold them.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Longest user name, in Unicode scalar values.
pub const NAME_CHARS_MAX: usize = 50;
/// Longest message content, in Unicode scalar values.
pub const CONTENT_CHARS_MAX: usize = 5_000;
/// Largest body of a single send, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest body of a batch send, in bytes.
pub const BATCH_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most messages in one batch.
pub const BATCH_MESSAGES_MAX: usize = 1_000;
/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Most messages on one page.
pub const PAGE_LIMIT_MAX: u32 = 500;
/// Messages on a conversation's page when `limit` is not given.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;
/// Messages on a timeline's page when `limit` is not given.
pub const TIMELINE_LIMIT_DEFAULT: u32 = 100;

/// One broken rule: which field, a stable code, and a sentence that names the limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field or parameter, as the caller spelled it.
    pub field: String,
    /// Stable machine-readable code, such as `too-long`.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Violation {
    /// A violation of `field`.
    #[must_use]
    pub fn new(field: &str, code: &str, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: code.to_owned(), detail: detail.into() }
    }
}

/// Checks a user name: 1–50 characters, NFC, no leading or trailing white space, no control, format, line-separator or
/// surrogate characters, not `.` or `..` (which URL parsers remove from paths, RFC 3986 §5.2.4).
///
/// # Errors
/// The first rule that the name breaks.
pub fn check_name(field: &str, name: &str) -> Result<(), Violation> {
    let fail = |code: &str, detail: String| Err(Violation::new(field, code, detail));
    let chars = name.chars().count();
    if chars == 0 {
        return fail("too-short", format!("{field} is empty; it needs 1 to {NAME_CHARS_MAX} characters"));
    }
    if chars > NAME_CHARS_MAX {
        return fail("too-long", format!("{field} has {chars} characters; at most {NAME_CHARS_MAX} are allowed"));
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return fail("white-space", format!("{field} begins or ends with white space"));
    }
    if let Some(bad) = name.chars().find(|c| is_forbidden(*c)) {
        let detail = format!(
            "{field} contains U+{:04X}; control, format and line-separator characters are not allowed",
            bad as u32
        );
        return fail("forbidden-character", detail);
    }
    if name == "." || name == ".." {
        return fail("dot-segment", format!("{field} is {name:?}, which a URL path cannot carry"));
    }
    if !name.nfc().eq(name.chars()) {
        return fail("not-nfc", format!("{field} is not in Unicode Normalization Form C (UAX #15)"));
    }
    Ok(())
}

/// Checks a message's content: 1–5,000 characters, any Unicode scalar values.
///
/// # Errors
/// The limit that the content breaks.
pub fn check_content(field: &str, content: &str) -> Result<(), Violation> {
    // Counting bytes first spares the walk for the usual short message.
    let chars = if content.len() <= CONTENT_CHARS_MAX { content.len() } else { content.chars().count() };
    match chars {
        0 => Err(Violation::new(
            field,
            "too-short",
            format!("{field} is empty; it needs 1 to {CONTENT_CHARS_MAX} characters"),
        )),
        n if n > CONTENT_CHARS_MAX => Err(Violation::new(
            field,
            "too-long",
            format!("{field} has {n} characters; at most {CONTENT_CHARS_MAX} are allowed"),
        )),
        _ => Ok(()),
    }
}

fn is_forbidden(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Surrogate
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, expected: &str) {
        let code = check_name("toUser", name).err().map_or_else(|| "ok".to_owned(), |v| v.code);
        assert_eq!(code, expected, "{name:?}");
    }

    #[test]
    fn names_at_below_and_above_their_limits() {
        name("a", "ok");
        name(&"é".repeat(50), "ok");
        name(&"😀".repeat(50), "ok");
        name("", "too-short");
        name(&"é".repeat(51), "too-long");
    }

    #[test]
    fn names_of_the_wrong_shape() {
        name(" a", "white-space");
        name("a\u{3000}", "white-space");
        name("a b", "ok");
        name("a\nb", "forbidden-character");
        name("a\u{200d}b", "forbidden-character");
        name("a\u{2028}b", "forbidden-character");
        name("a\u{2029}b", "forbidden-character");
        name(".", "dot-segment");
        name("..", "dot-segment");
        name("...", "ok");
        name("e\u{301}", "not-nfc");
        name("é", "ok");
    }

    #[test]
    fn content_at_below_and_above_its_limits() {
        assert!(check_content("content", "\0").is_ok());
        assert!(check_content("content", &"😀".repeat(5_000)).is_ok());
        assert_eq!(check_content("content", &"😀".repeat(5_001)).unwrap_err().code, "too-long");
        assert_eq!(check_content("content", "").unwrap_err().code, "too-short");
    }
}
