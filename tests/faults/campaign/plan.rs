//! Which rows run where, for how long.

use std::time::Duration;

use anyhow::bail;
use wiber_tests::load::Shape as LoadShape;

use super::load_shape;
use crate::args::{Args, Nodes};
use crate::rows::{ALL, Class, Part, Row};
use crate::world::{Shape, Variant};

/// Longest campaign, minutes: its log and its documents are compared in memory.
const MINUTES_MAX: f64 = 12.0;
/// The part of a campaign in which Kafka's log is destroyed.
const LOG_LOSS_SHARE: f64 = 0.2;
const LANES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(180);
const CHECK_MAX: Duration = Duration::from_secs(900);

/// One campaign.
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) seed: u64,
    pub(crate) short: bool,
    pub(crate) load: LoadShape,
    pub(crate) variant: Variant,
    /// How long recovering may take.
    pub(crate) patience: Duration,
    /// How long draining and reading back may take.
    pub(crate) check_max: Duration,
    /// Whether a campaign that is not clean is kept for a person to look at.
    pub(crate) keeps_evidence: bool,
    pub(crate) phases: Vec<Phase>,
}

/// Lanes that run at the same time, until a time or until each has done its rows once.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) lanes: Vec<Vec<Row>>,
    pub(crate) length: Option<Duration>,
}

impl Plan {
    pub(crate) fn describe(&self) -> String {
        let rows = |phase: &Phase| -> Vec<String> {
            let mut rows: Vec<u8> = phase.lanes.iter().flatten().map(|row| row.number).collect();
            rows.sort_unstable();
            rows.iter().map(u8::to_string).collect()
        };
        let phase = |phase: &Phase| format!("{}: rows {}", phase.name, rows(phase).join(" "));
        self.phases.iter().map(phase).collect::<Vec<_>>().join("; ")
    }
}

/// The campaigns of a run.
///
/// # Errors
/// If a row that was asked for does not exist, or runs on no deployment that was asked for.
pub(crate) fn plan(args: &Args, seed: u64) -> anyhow::Result<Vec<Plan>> {
    for number in &args.rows {
        if !ALL.iter().any(|row| row.number == *number) {
            let known: Vec<String> = ALL.iter().map(|row| row.number.to_string()).collect();
            bail!("--rows: row {number} does not run in campaigns; these do: {}", known.join(", "));
        }
    }
    let shapes = match (args.nodes, args.short) {
        (Nodes::Single, _) | (Nodes::Both, true) => vec![Shape::Single],
        (Nodes::Three, _) => vec![Shape::Three],
        (Nodes::Both, false) => vec![Shape::Single, Shape::Three],
    };
    let rounds =
        if args.short { 1 } else { (args.minutes / MINUTES_MAX / shapes.len() as f64).ceil().max(1.0) as usize };
    let minutes = args.minutes / (rounds * shapes.len()) as f64;
    let mut plans = Vec::new();
    for index in 0..rounds * shapes.len() {
        let shape = shapes[index % shapes.len()];
        let phases = phases(args, shape, minutes);
        if phases.is_empty() {
            continue;
        }
        let seed = seed.wrapping_add(index as u64);
        plans.push(Plan {
            shape,
            seed,
            short: args.short,
            load: load_shape(args.clients, args.pace_ms),
            variant: Variant::default(),
            patience: PATIENCE,
            check_max: CHECK_MAX,
            keeps_evidence: true,
            phases,
        });
    }
    if plans.is_empty() {
        bail!("none of the rows runs on this deployment; see --nodes");
    }
    Ok(plans)
}

fn phases(args: &Args, shape: Shape, minutes: f64) -> Vec<Phase> {
    let named = |row: &&Row| match args.rows.as_slice() {
        [] => !args.short || row.short,
        rows => rows.contains(&row.number),
    };
    let chosen: Vec<Row> = ALL.iter().filter(|row| row.shapes.contains(&shape)).filter(named).copied().collect();
    let (ordinary, losses): (Vec<Row>, Vec<Row>) = chosen.into_iter().partition(|row| row.class == Class::Ordinary);
    let share = |share: f64| (!args.short).then(|| Duration::from_secs_f64(minutes * 60.0 * share));
    let loss_share = match (ordinary.is_empty(), losses.is_empty()) {
        (_, true) => 0.0,
        (true, false) => 1.0,
        (false, false) => LOG_LOSS_SHARE,
    };
    let mut phases = Vec::new();
    if !ordinary.is_empty() {
        let lanes = if args.short { deal(&ordinary) } else { vec![ordinary.clone(); LANES] };
        phases.push(Phase { name: "ordinary", class: Class::Ordinary, lanes, length: share(1.0 - loss_share) });
    }
    if !losses.is_empty() {
        let mut lanes = vec![losses];
        // What goes on beside the loss; once is enough in a short run, and has been.
        let beside = |row: &&Row| !row.parts.contains(&Part::Kafka) && !row.parts.contains(&Part::Mongo);
        let beside: Vec<Row> = ordinary.iter().filter(beside).copied().collect();
        if !args.short && !beside.is_empty() {
            lanes.push(beside);
        }
        phases.push(Phase { name: "loss of Kafka's log", class: Class::LogLoss, lanes, length: share(loss_share) });
    }
    phases
}

/// Each row once, in two lanes.
fn deal(rows: &[Row]) -> Vec<Vec<Row>> {
    let mut lanes = vec![Vec::new(); LANES];
    for (index, row) in rows.iter().enumerate() {
        lanes[index % LANES].push(*row);
    }
    lanes
}
