//! In which leader epochs the records were appended that a client has read. Pure.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// By partition: from which offset on records had an epoch, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Epochs(Mutex<HashMap<i32, Vec<(i64, i32)>>>);

impl Epochs {
    /// A partition is read from here on, and the record below has this epoch; whatever was known is forgotten.
    pub(super) fn begin(&self, partition: i32, at: i64, below: Option<i32>) {
        self.with(partition, |known| *known = below.map(|epoch| (at - 1, epoch)).into_iter().collect());
    }

    /// A record was read.
    pub(super) fn read(&self, partition: i32, offset: i64, epoch: Option<i32>) {
        let Some(epoch) = epoch else { return };
        self.with(partition, |known| {
            if known.last().is_none_or(|(_, last)| *last != epoch) {
                known.push((offset, epoch));
            }
        });
    }

    /// The epoch of the last record below this offset, if it was read.
    pub(super) fn below(&self, partition: i32, offset: i64) -> Option<i32> {
        self.with(partition, |known| known.iter().rev().find(|(from, _)| *from < offset).map(|(_, epoch)| *epoch))
    }

    fn with<T>(&self, partition: i32, work: impl FnOnce(&mut Vec<(i64, i32)>) -> T) -> T {
        work(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(partition).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_the_epoch_of_the_record_below_it() {
        let epochs = Epochs::default();
        assert_eq!(epochs.below(0, 5), None);
        epochs.begin(0, 5, Some(1));
        for (offset, epoch) in [(5, 1), (6, 1), (7, 3), (9, 3)] {
            epochs.read(0, offset, Some(epoch));
        }
        epochs.read(0, 10, None);
        let below = [4, 5, 7, 8, 11].map(|offset| epochs.below(0, offset));
        assert_eq!(below, [None, Some(1), Some(1), Some(3), Some(3)]);
        assert_eq!(epochs.below(1, 7), None, "of another partition");
        epochs.begin(0, 2, None);
        assert_eq!(epochs.below(0, 9), None, "what was read of a log that was cut says nothing");
    }
}
