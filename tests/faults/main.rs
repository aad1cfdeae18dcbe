//! `wiber-faults`: injects the faults of the matrix into real processes under load, then proves that no acknowledged
//! message was lost, doubled, misordered or hidden. `cargo xtask faults` builds and runs it.
//!
//! A run is a row of campaigns. Each has servers, a host and bridges of its own, clients that send all the time, lanes
//! that inject one fault after the other ([`rows`]), and at its end the judgement of `wiber_tests::checker`.

mod args;
mod calm;
mod campaign;
mod disk;
mod injection;
mod mutants;
mod outage;
mod report;
mod rows;
mod sampler;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use args::Args;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let clean = runtime.block_on(run(&args));
    wiber_tests::run::clean();
    Ok(if clean? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(args: &Args) -> anyhow::Result<bool> {
    wiber_tests::binaries::check_components();
    let seed = args.seed.unwrap_or_else(rand::random);
    if args.mutants {
        return mutants::run(args, seed).await;
    }
    println!("seed {seed}: {}", args.replay(seed));
    let mut report = report::Run::begin(seed, args.replay(seed));
    // Written after each, so that what is known survives whatever comes.
    let mut add = |outcome: report::Campaign| {
        println!("{}", outcome.summary());
        report.add(outcome);
        report.write(&args.report)
    };
    if let Some(seconds) = args.outage {
        add(outage::run(args.rate, Duration::from_secs(seconds)).await?)?;
    } else {
        for (index, plan) in campaign::plan(args, seed)?.into_iter().enumerate() {
            add(campaign::run(&format!("faults-{}", index + 1), plan).await?)?;
        }
    }
    println!("{}", report.summary());
    println!("report: {}", args.report.display());
    if !report.is_clean() {
        wiber_tests::run::keep();
        println!("evidence: {}; replay: {}", wiber_tests::run::folder().display(), args.replay(seed));
    }
    Ok(report.is_clean())
}
