//! Which journal the outbox keeps.

/// The setting `outbox_journal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalSetting {
    /// WAL where this SQLite has the WAL-reset fix, else TRUNCATE.
    #[default]
    Auto,
    /// WAL in any case; readiness says so where the fix is missing.
    Wal,
    /// TRUNCATE in any case.
    Truncate,
}

impl JournalSetting {
    /// Reads the setting.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "wal" => Some(Self::Wal),
            "truncate" => Some(Self::Truncate),
            _ => None,
        }
    }

    pub(crate) fn mode(self, version: &str) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Truncate => "truncate",
            Self::Auto if wal_is_safe(version) => "wal",
            Self::Auto => "truncate",
        }
    }
}

/// Whether this SQLite has the fix for the WAL-reset bug, with which two connections that write and checkpoint at once
/// could lose committed rows: 3.51.3, 3.50.7, 3.44.6, and later ones of those lines.
#[must_use]
pub(crate) fn wal_is_safe(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    match (next(), next(), next()) {
        (3, 44, patch) => patch >= 6,
        (3, 50, patch) => patch >= 7,
        (3, 51, patch) => patch >= 3,
        (3, minor, _) => minor > 51,
        (major, ..) => major > 3,
    }
}

#[cfg(test)]
mod tests {
    use super::{JournalSetting, wal_is_safe};

    #[test]
    fn wal_only_where_the_reset_bug_is_fixed() {
        for version in ["3.7.0", "3.44.5", "3.45.3", "3.49.1", "3.50.6", "3.51.2", "", "x"] {
            assert!(!wal_is_safe(version), "{version}");
        }
        for version in ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "3.54.1", "4.0.0"] {
            assert!(wal_is_safe(version), "{version}");
        }
        assert_eq!(JournalSetting::Auto.mode("3.49.1"), "truncate");
        assert_eq!(JournalSetting::Wal.mode("3.49.1"), "wal");
    }
}
