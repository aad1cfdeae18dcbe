//! Which parts of the deployment nobody else harms. What a row expects of a part that it does not touch itself holds only
//! while no other row does, so that it is not always required: how often it was is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::rows::Part;

/// How often rows began or ceased to touch each part: odd while one does, since two never touch the same.
#[derive(Debug, Default)]
pub(crate) struct Touches([AtomicUsize; 4]);

impl Touches {
    /// A row begins or ceases to touch these.
    pub(crate) fn change(&self, parts: &[Part]) {
        for part in parts {
            self.of(*part).fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, part: Part) -> &AtomicUsize {
        &self.0[part as usize]
    }
}

/// How many expectations of an injection depended on others, and how many of them were required all the same.
#[derive(Debug, Default)]
pub(crate) struct Required {
    depended: AtomicU32,
    required: AtomicU32,
}

impl Required {
    /// Counts an expectation, and says whether it is required.
    fn count(&self, is_required: bool) -> bool {
        self.depended.fetch_add(1, Ordering::Relaxed);
        self.required.fetch_add(u32::from(is_required), Ordering::Relaxed);
        is_required
    }

    /// How many were required, and of how many.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.required.load(Ordering::Relaxed), self.depended.load(Ordering::Relaxed))
    }
}

/// Since when parts have been left alone by others.
#[derive(Debug)]
pub(crate) struct Calm {
    touches: Arc<Touches>,
    required: Arc<Required>,
    /// Each with its count at the beginning.
    parts: Vec<(Part, usize)>,
}

impl Calm {
    /// Begins to watch those of `parts` that are not the row's `own`; what is asked of it is counted in `required`.
    pub(crate) fn begin(touches: &Arc<Touches>, required: &Arc<Required>, parts: &[Part], own: &[Part]) -> Self {
        let others = parts.iter().filter(|part| !own.contains(part));
        let parts = others.map(|part| (*part, touches.of(*part).load(Ordering::Relaxed))).collect();
        Self { touches: Arc::clone(touches), required: Arc::clone(required), parts }
    }

    /// Whether what rests on them is required: nobody has touched them since. To be asked once of each expectation.
    pub(crate) fn requires(&self) -> bool {
        self.requires_if(true)
    }

    /// As [`requires`](Self::requires), of an expectation with a condition of its own.
    pub(crate) fn requires_if(&self, condition: bool) -> bool {
        self.required.count(self.lasted() && condition)
    }

    fn lasted(&self) -> bool {
        self.parts
            .iter()
            .all(|(part, begun)| begun % 2 == 0 && self.touches.of(*part).load(Ordering::Relaxed) == *begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_calm_until_another_row_touches_a_part_that_is_watched() {
        let (touches, required) = (Arc::new(Touches::default()), Arc::default());
        let calm = |own: &[Part]| Calm::begin(&touches, &required, &[Part::Host, Part::Kafka], own);
        let before = calm(&[]);
        assert!(before.requires());
        touches.change(&[Part::Host, Part::Mongo]);
        assert!(!before.requires() && !calm(&[]).requires() && calm(&[Part::Host]).requires());
        touches.change(&[Part::Host, Part::Mongo]);
        assert!(!before.requires() && calm(&[]).requires() && !calm(&[]).requires_if(false));
        assert_eq!(required.counts(), (3, 7));
    }
}
