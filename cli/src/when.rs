//! Times and durations as an operator writes them.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wiber_bridge::clock;

/// A time as Unix milliseconds: RFC 3339, `now`, or so long before now, such as `-1h`.
pub(crate) fn instant(text: &str) -> Result<i64, String> {
    instant_at(text, clock::unix_ms())
}

fn instant_at(text: &str, now_ms: i64) -> Result<i64, String> {
    if text == "now" {
        return Ok(now_ms);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = i64::try_from(duration(ago)?.as_millis()).unwrap_or(i64::MAX);
        return Ok(now_ms.saturating_sub(ago));
    }
    let instant = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "must be a time such as 2026-11-24T23:39:34Z, or so long ago, such as -1h".to_owned())?;
    i64::try_from(instant.unix_timestamp_nanos() / 1_000_000).map_err(|error| error.to_string())
}

/// A duration: a whole number and ms, s, m, h or d.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "must be a whole number and a unit: ms, s, m, h or d, such as 90s".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted()),
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(wanted)?;
    Ok(Duration::from_millis(millis))
}

/// A duration of milliseconds for a person, such as `3 min`.
pub(crate) fn age(millis: i64) -> String {
    match millis.max(0) / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative() {
        let now = 1_758_865_780_040;
        assert_eq!(instant_at("2025-09-26T05:49:40.040Z", 0), Ok(now));
        assert_eq!(instant_at("2025-09-26T07:49:40.040+02:00", 0), Ok(now));
        assert_eq!(instant_at("-90s", now), Ok(now - 90_000));
        assert_eq!(instant_at("now", now), Ok(now));
        for bad in ["", "yesterday", "-", "-1", "-1w", "-99999999999999999999d", "2025-09-26"] {
            assert!(instant_at(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        assert!(duration("5").is_err() && duration("s").is_err() && duration("-1s").is_err());
        assert_eq!((age(1_999), age(200_000), age(8_000_000)), ("1 s".into(), "3 min".into(), "2 h".into()));
    }
}
