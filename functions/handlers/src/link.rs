//! `Link: …; rel="next"` (RFC 8288), which keeps the direction of reading.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A relative link to the next page: the path as it was asked, and the parameters that lead on.
pub(crate) fn next(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (index, (name, value)) in parameters.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    format!("<{target}>; rel=\"next\"")
}
