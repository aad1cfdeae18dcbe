//! `wiber-bench`: measures what Wiber does on this machine, each figure beside its goal and beside the limit that the
//! machine sets, measured in the same run. `cargo xtask bench` builds and runs it.
//!
//! A run is a row of [`scenarios`]. Each starts what it needs, warms it up, measures several times, and gives lines of
//! figures and plots to the [`report`].

mod args;
mod ends;
mod figure;
mod held;
mod limits;
mod load;
mod machine;
mod report;
mod rig;
mod scenarios;
mod stored;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use args::Args;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        scenarios::ALL.iter().for_each(|scenario| println!("{:<14} {}", scenario.name, scenario.title));
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(run(&args));
    runtime.block_on(wiber_tests::servers::stop_all());
    wiber_tests::run::clean();
    measured.map(|()| ExitCode::SUCCESS)
}

async fn run(args: &Args) -> anyhow::Result<()> {
    // Read before hours are spent.
    let old = args.compare.as_deref().map(report::compare::read).transpose()?;
    let chosen = scenarios::chosen(&args.scenarios)?;
    wiber_tests::binaries::check_components();
    wiber_tests::servers::will_last();
    let mut report = report::Report::begin(args);
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.title);
        let outcome = (scenario.run)(args.clone()).await.inspect_err(|_| keep());
        let outcome = outcome.with_context(|| format!("scenario {}", scenario.name))?;
        println!("{}", report::table(&outcome));
        report.add(scenario, outcome);
        // Written after each, so that what is known survives whatever comes.
        report.write(&args.report)?;
    }
    if let Some(old) = old {
        println!("{}", report::compare::table(&old, &report));
    }
    println!("report: {}", args.report.display());
    Ok(())
}

/// Keeps the logs, before what made them is dropped.
fn keep() {
    wiber_tests::run::keep();
    println!("logs: {}", wiber_tests::run::folder().display());
}
