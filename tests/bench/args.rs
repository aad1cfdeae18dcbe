//! The command line.

use std::path::PathBuf;
use std::time::Duration;

/// Measures Wiber on this machine, each figure beside its goal and the limit that the machine sets.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Args {
    /// Only these scenarios, such as accept,read; all by default
    #[arg(long, value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,
    /// Print the names of the scenarios and end
    #[arg(long)]
    pub(crate) list: bool,
    /// How often each figure is measured; its median and range are reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// How long one measurement under steady load takes, seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// How long the whole path is held at its rate, seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub(crate) path_seconds: u64,
    /// The most messages a second at which the whole path is held; without them, the highest rate that it holds
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) path_rate: u32,
    /// Messages that are moved where a stage is measured alone
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    pub(crate) messages: u64,
    /// The most rows that lie in the outbox where cost is measured against its depth
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    pub(crate) depth: u64,
    /// The most documents that are stored where cost is measured against them
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    pub(crate) volume: u64,
    /// Another server that gets the same messages by POST, in turns with Wiber, such as http://127.0.0.1:9000/messages
    #[arg(long, value_name = "URL")]
    pub(crate) peer: Option<String>,
    /// Print what changed since the report.json of an earlier run
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// The folder of the report
    #[arg(long, default_value = "target/bench")]
    pub(crate) report: PathBuf,
}

impl Args {
    /// How long one measurement under steady load takes.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The number of runs, for loops.
    pub(crate) fn each_run(&self) -> std::ops::Range<u32> {
        0..self.runs
    }
}
