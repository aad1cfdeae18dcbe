//! Many seeds, one seed, and the simulator's own check.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::mutant::Mutant;
use super::scenario::{OCCASIONS, Outcome, run};

/// Seeds of a test run; `WIBER_SIM_SEEDS` changes it.
const SEEDS: u64 = 10_000;
/// Most seeds that a seeded bug may need.
const MUTANT_SEEDS: u64 = 2_000;
/// Seeds within which everything must have happened that the rules are for.
const OCCASION_SEEDS: u64 = 500;
/// Lines of the trace that a failure shows.
const LINES: usize = 50;
const THREADS: usize = 2;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

fn report(seed: u64, outcome: &Outcome) -> String {
    let from = outcome.trace.len().saturating_sub(LINES);
    format!(
        "seed {seed}: {}\n{}\nreplay: WIBER_SIM_SEED={seed} cargo test --lib simulation -- --nocapture",
        outcome.violation.as_deref().unwrap_or("nothing is wrong"),
        outcome.trace[from..].join("\n"),
    )
}

/// The seeds below `count` that break an invariant, and how many events there were. With a bug one is enough.
fn broken(count: u64, mutant: Option<Mutant>) -> (BTreeMap<u64, String>, u64) {
    let (next, events, broken) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || (mutant.is_some() && !broken.lock().unwrap().is_empty()) {
                return;
            }
            let outcome = run(seed, mutant, false);
            events.fetch_add(outcome.events, Ordering::Relaxed);
            if let Some(violation) = outcome.violation {
                broken.lock().unwrap().insert(seed, violation);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    (broken.into_inner().unwrap(), events.into_inner())
}

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = setting("WIBER_SIM_SEED") {
        let outcome = run(seed, None, true);
        println!("{}", outcome.trace.join("\n"));
        assert!(outcome.violation.is_none(), "{}", report(seed, &outcome));
        return;
    }
    let count = setting("WIBER_SIM_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let (broken, events) = broken(count, None);
    if let Some(seed) = broken.keys().next().copied() {
        let others: Vec<String> = broken.iter().take(20).map(|(seed, why)| format!("seed {seed}: {why}")).collect();
        let (first, number) = (report(seed, &run(seed, None, true)), broken.len());
        panic!("{number} of {count} seeds break a promise:\n{}\n\nThe first:\n{first}", others.join("\n"));
    }
    println!("{count} seeds, {events} events, {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..20 {
        let (one, other) = (run(seed, None, true), run(seed, None, true));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.events, other.events, "seed {seed}");
    }
}

#[test]
fn every_seeded_bug_is_found() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        match broken(MUTANT_SEEDS, Some(mutant)).0.pop_first() {
            Some((seed, violation)) => println!("{mutant:?}: seed {seed}: {violation}"),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not found within {MUTANT_SEEDS} seeds: {missed:?}");
}

#[test]
fn what_the_rules_are_for_happens() {
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for occasion in (0..OCCASION_SEEDS).flat_map(|seed| run(seed, None, false).met) {
        *met.entry(occasion).or_default() += 1;
    }
    println!("of {OCCASION_SEEDS} seeds: {met:?}");
    let missing: Vec<&str> = OCCASIONS.into_iter().filter(|occasion| !met.contains_key(occasion)).collect();
    assert!(missing.is_empty(), "did not happen within {OCCASION_SEEDS} seeds: {missing:?}");
}
