//! The rule of settling: which rows of a page are freed, and what a walk over all pages says of the rows that stay. Pure.

use std::collections::{BTreeMap, HashSet};

use wiber_model::outbox::{ROWS_MAX, RowRef, UnsettledRow};

/// One walk over all published rows.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// How many rows there were.
    pub(super) rows: usize,
    /// How many of them are settled.
    pub(super) settled: usize,
    /// The position after which the next page begins.
    pub(super) after: i64,
    /// Of each partition, among the rows that stay.
    pub(super) lowest: BTreeMap<i32, UnsettledRow>,
}

/// What follows from one page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Rows to free.
    pub(super) free: Vec<RowRef>,
    /// Whether no page follows.
    pub(super) is_last: bool,
    /// Few of its rows are settled: others must not be hidden behind them, nor MongoDB be kept busy.
    pub(super) is_stuck: bool,
}

impl Walk {
    /// Takes a page and those positions of it which MongoDB's majority calls settled.
    pub(super) fn page(&mut self, rows: Vec<UnsettledRow>, settled: &HashSet<i64>) -> Page {
        let count = rows.len();
        self.after = rows.last().map_or(self.after, |row| row.position);
        let (free, kept): (Vec<UnsettledRow>, Vec<UnsettledRow>) =
            rows.into_iter().partition(|row| settled.contains(&row.position));
        for row in kept {
            self.lowest.entry(row.partition).or_insert(row);
        }
        self.rows += count;
        self.settled += free.len();
        Page {
            is_last: count < ROWS_MAX as usize,
            is_stuck: free.len() * 2 < count,
            free: free.into_iter().map(RowRef::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wiber_model::MessageId;

    use super::*;

    fn row(position: i64, partition: i32) -> UnsettledRow {
        UnsettledRow { position, message_id: MessageId::new(position, [0; 10]), partition }
    }

    #[test]
    fn only_settled_rows_are_freed_and_the_lowest_of_each_partition_is_kept_in_mind() {
        let mut walk = Walk::default();
        let page = walk.page(vec![row(2, 0), row(3, 1), row(5, 0), row(9, 1)], &HashSet::from([2, 9]));
        assert_eq!(page.free.iter().map(|r| r.position).collect::<Vec<_>>(), [2, 9]);
        assert!(page.is_last && !page.is_stuck);
        let later = walk.page(vec![row(11, 0), row(12, 2)], &HashSet::new());
        assert!(later.free.is_empty() && later.is_stuck);
        assert_eq!((walk.rows, walk.settled, walk.after), (6, 2, 12));
        let lowest: Vec<i64> = walk.lowest.values().map(|r| r.position).collect();
        assert_eq!(lowest, [5, 3, 12]);
    }
}
