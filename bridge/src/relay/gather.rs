//! How long calls of the outbox wait for more rows, so that each is worth its cost under load. Pure.

use std::time::Duration;

use wiber_model::outbox::ROWS_MAX;

/// What one row adds.
const WAIT_A_ROW: Duration = Duration::from_millis(1);
/// What a person waits for at most on this account.
const WAIT_MAX: Duration = Duration::from_millis(25);

/// How long the next call waits after one that brought so many rows. Few mean that nobody else is about, and the next one
/// must not wait; a full call means that more are there already. In between the wait grows as rows come faster than one
/// a millisecond.
pub(super) fn wait_after(rows: usize) -> Duration {
    if rows >= ROWS_MAX as usize {
        return Duration::ZERO;
    }
    WAIT_MAX.min(WAIT_A_ROW * u32::try_from(rows).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_lone_row_nor_a_backlog_waits_for_long() {
        assert_eq!(wait_after(0), Duration::ZERO);
        assert_eq!(wait_after(1), Duration::from_millis(1));
        assert_eq!(wait_after(ROWS_MAX as usize), Duration::ZERO);
    }

    #[test]
    fn what_came_fast_is_waited_for_but_not_for_long() {
        assert_eq!(wait_after(10), Duration::from_millis(10));
        assert_eq!(wait_after(999), WAIT_MAX);
    }
}
