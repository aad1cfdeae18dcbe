//! Which parts of the deployment nobody else harms. What a row expects of a part that it does not touch itself holds only
//! while no other row does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Since when parts have been left alone by others.
#[derive(Debug)]
pub(crate) struct Calm {
    touches: Arc<Touches>,
    /// Each with its count at the beginning.
    parts: Vec<(Part, usize)>,
}

impl Calm {
    /// Begins to watch those of `parts` that are not the row's `own`.
    pub(crate) fn begin(touches: &Arc<Touches>, parts: &[Part], own: &[Part]) -> Self {
        let others = parts.iter().filter(|part| !own.contains(part));
        let parts = others.map(|part| (*part, touches.of(*part).load(Ordering::Relaxed))).collect();
        Self { touches: Arc::clone(touches), parts }
    }

    /// Whether nobody has touched them since.
    pub(crate) fn lasted(&self) -> bool {
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
        let touches = Arc::new(Touches::default());
        let calm = |own: &[Part]| Calm::begin(&touches, &[Part::Host, Part::Kafka], own);
        let before = calm(&[]);
        assert!(before.lasted());
        touches.change(&[Part::Host, Part::Mongo]);
        assert!(!before.lasted() && !calm(&[]).lasted() && calm(&[Part::Host]).lasted());
        touches.change(&[Part::Host, Part::Mongo]);
        assert!(!before.lasted() && calm(&[]).lasted());
    }
}
