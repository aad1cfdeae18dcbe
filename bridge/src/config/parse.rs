//! Parsers of values; their errors say what would be right.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

/// Kafka's limit for topic names is 249 characters; the dead-letter suffix needs four of them.
const TOPIC_CHARS_MAX: usize = 245;
const NAME_CHARS_MAX: usize = 249;

pub(super) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let wanted = || format!("must be a whole number from {} to {}", range.start(), range.end());
    let value = text.trim().parse::<T>().map_err(|_| wanted())?;
    if range.contains(&value) { Ok(value) } else { Err(wanted()) }
}

pub(super) fn millis(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    number(text, range).map(Duration::from_millis).map_err(|e| format!("{e} (milliseconds)"))
}

/// A retention: -1 for no limit, else positive.
pub(super) fn retention(text: &str) -> Result<i64, String> {
    match text.trim().parse::<i64>() {
        Ok(value) if value == -1 || value > 0 => Ok(value),
        _ => Err("must be -1 (no limit) or a positive whole number".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8002 or [::1]:8002".to_owned())
}

pub(super) fn topic(text: &str) -> Result<String, String> {
    plain_name(text, TOPIC_CHARS_MAX)
}

pub(super) fn instance_id(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { plain_name(text, NAME_CHARS_MAX).map(Some) }
}

fn plain_name(text: &str, chars_max: usize) -> Result<String, String> {
    let legal = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if legal && (1..=chars_max).contains(&text.len()) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {chars_max} of A-Z, a-z, 0-9, '.', '_' and '-', and not '.' or '..'"))
    }
}

pub(super) fn group(text: &str) -> Result<String, String> {
    let legal = !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if legal { Ok(text.to_owned()) } else { Err("must be 1 to 255 characters without control characters".to_owned()) }
}

pub(super) fn bootstrap_servers(text: &str) -> Result<String, String> {
    let wanted = || "must be HOST:PORT pairs separated by commas, such as broker1:9092,broker2:9092".to_owned();
    for server in text.split(',').map(str::trim) {
        // librdkafka also accepts a protocol in front, which the property security.protocol says better.
        let (host, port) = server.rsplit_once(':').ok_or_else(wanted)?;
        let legal = !host.is_empty() && !host.contains("//") && !host.contains(char::is_whitespace);
        if !legal || port.parse::<u16>().is_ok_and(|p| p == 0) || port.parse::<u16>().is_err() {
            return Err(wanted());
        }
    }
    Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","))
}

pub(super) fn outbox_urls(text: &str) -> Result<Vec<Url>, String> {
    let urls = text.split(',').map(|one| outbox_url(one.trim())).collect::<Result<Vec<_>, _>>()?;
    for (i, url) in urls.iter().enumerate() {
        if urls[..i].contains(url) {
            return Err(format!("{url} stands twice; each outbox is drained once"));
        }
    }
    Ok(urls)
}

fn outbox_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|_| "must be URLs separated by commas, such as http://127.0.0.1:8000".to_owned())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("only http and https URLs with a host are outboxes".to_owned());
    }
    if !bare || !anonymous {
        return Err("an outbox URL has scheme, host and port only; its token is WIBER_OUTBOX_TOKEN".to_owned());
    }
    Ok(url)
}

pub(super) fn token(text: &str) -> Result<(), String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("a token consists of visible ASCII characters without spaces".to_owned())
    }
}

pub(super) fn mongo_uri(text: &str) -> Result<(), String> {
    // The driver's own words may quote the password.
    mongodb::options::ConnectionString::parse(text).map(|_| ()).map_err(|_| {
        "must be a MongoDB connection string, such as mongodb://host:27017/?replicaSet=rs0, with user name and password \
         percent-encoded"
            .to_owned()
    })
}

pub(super) fn mongo_db(text: &str) -> Result<String, String> {
    let legal = !text.is_empty() && text.len() <= 63 && !text.contains(['/', '\\', '.', ' ', '"', '$', '\0']);
    if legal { Ok(text.to_owned()) } else { Err("must be 1 to 63 bytes without / \\ . \" $ or a space".to_owned()) }
}

pub(super) fn mongo_collection(text: &str) -> Result<String, String> {
    let legal = !text.is_empty()
        && text.len() <= 120
        && !text.contains(['$', '\0'])
        && !text.starts_with("system.")
        // These two hold the bridge's own state.
        && !matches!(text, "dead_letters" | "meta");
    if legal {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 120 bytes without $, not beginning with system., and neither dead_letters nor meta"
            .to_owned())
    }
}
