//! Which offset may be committed: all records before it are stored or dead-lettered. Pure.

use std::collections::VecDeque;

/// Records of one partition between their arrival and their confirmation.
#[derive(Debug)]
pub(super) struct Offsets {
    /// Everything below is confirmed.
    committable: i64,
    /// Records from there on, in log order, and whether each is confirmed.
    open: VecDeque<(i64, bool)>,
}

/// A record came at an offset at or below one that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated;

impl Offsets {
    /// Reading begins at `start`.
    pub(super) fn new(start: i64) -> Self {
        Self { committable: start, open: VecDeque::new() }
    }

    /// A record has arrived. Offsets may leave gaps, as control records do, but must rise.
    pub(super) fn track(&mut self, offset: i64) -> Result<(), Repeated> {
        if offset < self.position() {
            return Err(Repeated);
        }
        self.open.push_back((offset, false));
        Ok(())
    }

    /// A record is stored or dead-lettered. Confirming twice, or what was never tracked, changes nothing.
    pub(super) fn confirm(&mut self, offset: i64) {
        if let Ok(index) = self.open.binary_search_by_key(&offset, |(o, _)| *o) {
            self.open[index].1 = true;
        }
        while let Some((first, true)) = self.open.front().copied() {
            self.open.pop_front();
            self.committable = first + 1;
        }
    }

    /// The offset that may be committed.
    pub(super) fn committable(&self) -> i64 {
        self.committable
    }

    /// The lowest offset that the next record can have.
    pub(super) fn position(&self) -> i64 {
        self.open.back().map_or(self.committable, |(last, _)| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_an_unbroken_run_is_committable() {
        let mut offsets = Offsets::new(10);
        for offset in [10, 11, 15] {
            offsets.track(offset).unwrap();
        }
        assert_eq!(offsets.track(15), Err(Repeated));
        assert_eq!((offsets.committable(), offsets.position()), (10, 16));
        offsets.confirm(11);
        offsets.confirm(99);
        assert_eq!(offsets.committable(), 10);
        offsets.confirm(10);
        assert_eq!(offsets.committable(), 12);
        offsets.confirm(15);
        assert_eq!((offsets.committable(), offsets.position()), (16, 16));
    }

    proptest! {
        #[test]
        fn nothing_unconfirmed_is_ever_below_the_committable_offset(
            gaps in prop::collection::vec(1_i64..4, 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let mut offsets = Offsets::new(0);
            let mut records = Vec::new();
            let mut last = -1;
            for gap in gaps {
                last += gap;
                offsets.track(last).unwrap();
                records.push((last, false));
            }
            for index in order {
                let record = index.get_mut(&mut records);
                record.1 = true;
                let offset = record.0;
                offsets.confirm(offset);
                let first_open = records.iter().find(|(_, done)| !done).map(|(o, _)| *o);
                match first_open {
                    Some(open) => prop_assert!(offsets.committable() <= open),
                    None => prop_assert_eq!(offsets.committable(), last + 1),
                }
                let confirmed_run = records.iter().take_while(|(_, done)| *done).last().map_or(0, |(o, _)| o + 1);
                prop_assert_eq!(offsets.committable(), confirmed_run);
            }
        }
    }
}
