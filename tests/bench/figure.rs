//! What a scenario measured: figures over several runs, with goal and limit, and plots.

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// The least or the most.
    pub(crate) fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
        }
    }

    fn of(self, basis: f64) -> Self {
        match self {
            Self::AtLeast(least) => Self::AtLeast(least / basis),
            Self::AtMost(most) => Self::AtMost(most / basis),
        }
    }
}

/// One figure over several runs.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What was measured, unique in its scenario.
    pub(crate) what: String,
    /// Its unit, such as `/s` or `ms`.
    pub(crate) unit: &'static str,
    pub(crate) runs: Vec<f64>,
    pub(crate) goal: Option<Goal>,
    /// What this machine does without Wiber, measured in the same run, in the same unit.
    pub(crate) limit: Option<(String, f64)>,
    /// What that was on the machine that the goal was set on. Machines differ, so that the goal counts as a part of it.
    pub(crate) basis: Option<f64>,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, runs: Vec<f64>) -> Self {
        Self { what: what.into(), unit, runs, goal: None, limit: None, basis: None }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    pub(crate) fn limit(self, what: &str, runs: &[f64]) -> Self {
        Self { limit: Some((what.to_owned(), median(runs))), ..self }
    }

    pub(crate) fn basis(self, basis: f64) -> Self {
        Self { basis: Some(basis), ..self }
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.runs)
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        let least = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, most)
    }

    /// The part of the limit that was reached.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.limit.as_ref().map(|(_, limit)| self.median() / limit)
    }

    /// The goal as a part of the limit that it was set beside.
    pub(crate) fn goal_ratio(&self) -> Option<Goal> {
        Some(self.goal?.of(self.basis?))
    }
}

/// The value in the middle; NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// Lines over one another.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    /// Names its file.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// Whether x is drawn by its logarithm; values of 0 then stand at 1.
    pub(crate) is_log: bool,
    pub(crate) series: Vec<(String, Vec<(f64, f64)>)>,
}

/// What one scenario measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) figures: Vec<Figure>,
    pub(crate) plots: Vec<Plot>,
    /// Share of the processors that was idle before each run, 0 to 1.
    pub(crate) idle: Vec<f64>,
    /// What else a reader must know.
    pub(crate) notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_median_range_and_ratio() {
        let figure = Figure::new("x", "/s", vec![3.0, 1.0, 2.0]).limit("wall", &[4.0]).goal(Goal::AtLeast(2.0));
        assert_eq!((figure.median(), figure.range(), figure.ratio()), (2.0, (1.0, 3.0), Some(0.5)));
        assert!(figure.goal.is_some_and(|goal| goal.is_met(figure.median())));
        assert!((median(&[1.0, 2.0]) - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_goal_counts_as_a_part_of_what_its_machine_did() {
        let figure = Figure::new("x", "/s", vec![40.0]).goal(Goal::AtLeast(100.0)).limit("wall", &[80.0]).basis(250.0);
        assert_eq!((figure.ratio(), figure.goal_ratio()), (Some(0.5), Some(Goal::AtLeast(0.4))));
        assert_eq!(Figure::new("x", "/s", vec![40.0]).goal(Goal::AtLeast(100.0)).goal_ratio(), None);
    }
}
