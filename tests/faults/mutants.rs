//! The checker checked: ten builds, each with one seeded bug, must each be caught. `cargo xtask faults --mutants` makes
//! the builds and names their folder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::args::Args;
use crate::campaign::{self, Phase, Plan, load_shape};
use crate::report::Campaign;
use crate::rows::{ALL, Class, Row};
use crate::world::{Shape, Variant};
use wiber_tests::checker;

/// Names the folder with the builds.
const FOLDER: &str = "WIBER_MUTANT_DIR";
/// A bug must be caught within this time.
const CAUGHT_WITHIN: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(30);
const CHECK_MAX: Duration = Duration::from_secs(90);

/// What rows say of an answer that came too early.
const TOO_EARLY: [&str; 2] = ["after the first failed fsync", "before its fsync"];

/// Where a bug is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Send,
    Bridge,
}

/// A seeded bug, and the rows that must show it.
struct Mutant {
    name: &'static str,
    place: Place,
    rows: &'static [u8],
    /// Rows that go on at the same time.
    beside: &'static [u8],
}

const MUTANTS: &[Mutant] = &[
    Mutant { name: "early-answer", place: Place::Send, rows: &[1, 21, 1, 21, 21], beside: &[] },
    Mutant { name: "synchronous-normal", place: Place::Send, rows: &[21, 21, 21, 21, 21], beside: &[] },
    Mutant {
        name: "commit-before-store",
        place: Place::Bridge,
        rows: &[18, 18, 18, 18, 18, 18],
        beside: &[6, 2, 6, 2, 6, 2, 6, 2],
    },
    Mutant { name: "delete-on-publish", place: Place::Bridge, rows: &[9, 9], beside: &[] },
    Mutant { name: "order-by-clock", place: Place::Bridge, rows: &[18, 6, 18], beside: &[] },
    Mutant { name: "no-fence", place: Place::Bridge, rows: &[2, 5, 2, 4], beside: &[] },
    Mutant { name: "retry-under-new-id", place: Place::Bridge, rows: &[9, 10], beside: &[] },
    Mutant { name: "dead-letter-on-timeout", place: Place::Bridge, rows: &[18, 19, 19], beside: &[] },
    Mutant { name: "start-from-latest", place: Place::Bridge, rows: &[9, 6, 10, 6, 18], beside: &[] },
    Mutant { name: "unordered-drain", place: Place::Bridge, rows: &[6, 18], beside: &[] },
];

/// Runs every mutant; `true` if each was caught in time.
///
/// # Errors
/// If the builds are missing, or a deployment cannot be started.
pub(crate) async fn run(args: &Args, seed: u64) -> anyhow::Result<bool> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let folder = folder.with_context(|| format!("{FOLDER} is not set: run `cargo xtask faults --mutants`"))?;
    if let Some(unknown) = args.mutant.iter().find(|name| !MUTANTS.iter().any(|mutant| mutant.name == **name)) {
        let known: Vec<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        bail!("--mutant: there is no {unknown:?}; these are: {}", known.join(", "));
    }
    let mut missed = Vec::new();
    let chosen = |mutant: &&Mutant| args.mutant.is_empty() || args.mutant.iter().any(|name| name == mutant.name);
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(chosen).collect();
    for mutant in &mutants {
        let began = Instant::now();
        // A schedule may miss a bug; the next seed's may not.
        let mut round = 0;
        let (campaign, caught) = loop {
            let seed = seed.wrapping_add(round);
            round += 1;
            let plan = mutant.plan(args, seed, Some(&folder))?;
            let campaign = campaign::run(&format!("mutant-{}-{round}", mutant.name), plan).await?;
            let mut caught = evidence(&campaign);
            if let Some(Evidence::Late(text)) = &caught {
                // It shows the bug only if the same schedule drains without it.
                let plan = mutant.plan(args, seed, None)?;
                let control = campaign::run(&format!("control-{}-{round}", mutant.name), plan).await?;
                let sound = control.is_clean();
                caught = sound.then(|| Evidence::Sure(format!("{text}; the same schedule without the bug is clean")));
            }
            let caught = caught.map(|(Evidence::Sure(text) | Evidence::Late(text))| text);
            if caught.is_some() || began.elapsed() > CAUGHT_WITHIN {
                break (campaign, caught);
            }
        };
        let took = began.elapsed();
        match caught {
            Some(evidence) if took <= CAUGHT_WITHIN => println!("{}: caught after {took:.0?}: {evidence}", mutant.name),
            _ => {
                println!("{}: NOT CAUGHT in {took:.0?}: {}", mutant.name, campaign.summary());
                missed.push(mutant.name);
            }
        }
    }
    println!("mutants: {} of {} caught", mutants.len() - missed.len(), mutants.len());
    Ok(missed.is_empty())
}

/// What shows a bug.
enum Evidence {
    Sure(String),
    /// Messages are not stored, and rows of the outbox were not drained either: perhaps there was too little time.
    Late(String),
}

/// What shows the bug. An expectation of a row that broke, such as a message that was not stored in time, counts only
/// where it says that something is acknowledged too early.
fn evidence(campaign: &Campaign) -> Option<Evidence> {
    let reports = || campaign.judged.iter().filter_map(|judged| judged.report.as_ref().ok());
    let count = |of: fn(&checker::Report) -> &Vec<String>, drained: bool| -> usize {
        let counted = reports().filter(|report| !drained || report.undrained == 0);
        counted.map(|report| of(report).len()).max().unwrap_or(0)
    };
    let text = |found: &[(&str, usize)]| -> Option<String> {
        let found = found.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}"));
        Some(found.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let sure = text(&[
        ("lost", count(|report| &report.lost, true)),
        ("doubled", count(|report| &report.doubled, false)),
        ("misordered", count(|report| &report.misordered, false)),
        ("unseen", count(|report| &report.unseen, true)),
    ]);
    let too_early = campaign.injections.iter().filter(|injection| injection.is_broken()).find_map(|injection| {
        let text = injection.outcome.as_ref().err()?.to_string();
        TOO_EARLY.iter().any(|words| text.contains(words)).then_some(text)
    });
    let late = || {
        let undrained = reports().map(|report| report.undrained).max().unwrap_or(0);
        let lost = text(&[("not stored", count(|report| &report.lost, false))])?;
        Some(Evidence::Late(format!("{lost}, {undrained} rows not drained")))
    };
    sure.or(too_early).map(Evidence::Sure).or_else(late)
}

impl Mutant {
    /// The schedule, with the builds in `folder` or with what is under test.
    fn plan(&self, args: &Args, seed: u64, folder: Option<&std::path::Path>) -> anyhow::Result<Plan> {
        let mut variant = Variant::default();
        match (self.place, folder) {
            (_, None) => {}
            (Place::Send, Some(folder)) => {
                variant.send = Some(folder.join(format!("send-{}.wasm", self.name)));
                // Without FULL a rollback journal is safe enough; the bug shows in WAL.
                variant.variables.push(("outbox_journal", "wal".to_owned()));
            }
            (Place::Bridge, Some(folder)) => {
                variant.bridge = Some(folder.join("wiber-bridge"));
                variant.settings = vec![("WIBER_MUTANT".to_owned(), self.name.to_owned())];
            }
        }
        for file in variant.bridge.iter().chain(&variant.send) {
            if !file.is_file() {
                bail!("{} is missing: run `cargo xtask faults --mutants`", file.display());
            }
        }
        let row = |number: &u8| ALL.iter().find(|row| row.number == *number).copied();
        let lanes: Vec<Vec<Row>> =
            [self.rows, self.beside].iter().map(|rows| rows.iter().filter_map(row).collect()).collect();
        let loses_log = lanes.iter().flatten().any(|row| row.class == Class::LogLoss);
        let class = if loses_log { Class::LogLoss } else { Class::Ordinary };
        Ok(Plan {
            shape: Shape::Single,
            seed,
            short: true,
            load: load_shape(args.clients, args.pace_ms),
            variant,
            patience: PATIENCE,
            check_max: CHECK_MAX,
            // It is to be unclean.
            keeps_evidence: false,
            phases: vec![Phase { name: self.name, class, lanes, length: None }],
        })
    }
}
