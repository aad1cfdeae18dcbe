//! `cargo xtask budgets`: the instructions and the allocations of hot code, counted by valgrind and held against a budget.
//! On a shared machine time says little, but counts repeat.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::cargo;
use crate::repository::Repository;

/// A test named `cost_of_…`, and what one repetition of it may take in the development profile.
struct Budget {
    package: &'static str,
    test: &'static str,
    instructions: u64,
    allocations: u64,
}

const BUDGETS: [Budget; 4] = [
    Budget {
        package: "wiber-handlers",
        test: "send::request::tests::cost_of_reading_a_message",
        instructions: 14_000,
        allocations: 9,
    },
    Budget {
        package: "wiber-database",
        test: "accept::statement::tests::cost_of_encoding_a_message",
        instructions: 20_300,
        allocations: 18,
    },
    Budget {
        package: "wiber-model",
        test: "record::tests::cost_of_reading_a_record",
        instructions: 23_500,
        allocations: 21,
    },
    Budget {
        package: "wiber-bridge",
        test: "consumer::sequence::tests::cost_of_placing_a_thousand_messages",
        instructions: 11_800_000,
        allocations: 15_500,
    },
];

/// Tells a test how often to repeat its code.
const REPETITIONS: &str = "WIBER_BUDGET_REPETITIONS";
/// Enough to make what happens once small.
const MANY: u64 = 20;

/// Counts, and fails if a budget is exceeded.
pub(crate) fn run(repository: &Repository) -> anyhow::Result<ExitCode> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("budgets: NOT COUNTED, since valgrind is not here (apt-get install valgrind)");
        return Ok(ExitCode::SUCCESS);
    }
    let mut exceeded = Vec::new();
    for budget in &BUDGETS {
        let program = program(repository, budget.package)?;
        let instructions =
            each(&program, budget.test, &["--tool=callgrind", "--callgrind-out-file=/dev/null"], collected)?;
        let allocations = each(&program, budget.test, &["--tool=dhat", "--dhat-out-file=/dev/null"], blocks)?;
        println!(
            "{}: {instructions} instructions (budget {}), {allocations} allocations (budget {})",
            budget.test, budget.instructions, budget.allocations
        );
        if instructions > budget.instructions || allocations > budget.allocations {
            exceeded.push(budget.test);
        }
    }
    if exceeded.is_empty() { Ok(ExitCode::SUCCESS) } else { bail!("over budget (xtask/src/budgets.rs): {exceeded:?}") }
}

/// The package's unit tests as a program.
fn program(repository: &Repository, package: &str) -> anyhow::Result<PathBuf> {
    let mut build = cargo::command(repository.root());
    // All packages, as `cargo xtask test` builds them: one package alone would be built with other features.
    build.args(["test", "--no-run", "--lib", "--message-format=json", "--quiet"]);
    let output = build.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the unit tests of {package} cannot be built");
    }
    let name = package.replace('-', "_");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = artifacts.filter(|artifact| artifact["target"]["name"] == name.as_str());
    let executable = found.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from)).next_back();
    executable.with_context(|| format!("cargo names no test program of {package}"))
}

/// What one repetition adds.
fn each(program: &Path, test: &str, tool: &[&str], read: fn(&str) -> Option<u64>) -> anyhow::Result<u64> {
    let count = |repetitions: u64| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(tool).arg(program).args(["--ignored", "--exact", test, "--test-threads=1"]);
        valgrind.env(REPETITIONS, repetitions.to_string());
        let output = valgrind.output().context("cannot run valgrind")?;
        let (told, seen) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        if !output.status.success() || !seen.contains("1 passed") {
            bail!("{test} under valgrind ({}):\n{seen}{told}", output.status);
        }
        read(&told).with_context(|| format!("valgrind told no count:\n{told}"))
    };
    Ok(count(MANY)?.saturating_sub(count(0)?) / MANY)
}

/// Reads `==1== Collected : 123456`.
fn collected(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// Reads `==1== Total:     1,234 bytes in 56 blocks`.
fn blocks(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.contains("Total:"))?;
    let (_, rest) = line.split_once(" bytes in ")?;
    rest.strip_suffix(" blocks")?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrinds_counts_are_read() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 1234567\n"), Some(1_234_567));
        assert_eq!(blocks("==7== Total:     151,552 bytes in 1,006 blocks\n"), Some(1_006));
    }
}
