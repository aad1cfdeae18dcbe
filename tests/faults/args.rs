//! The command line.

use std::path::PathBuf;

/// Injects faults into a deployment of real processes and judges what became of every message.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "cargo xtask faults", bin_name = "cargo xtask faults")]
pub(crate) struct Args {
    /// Draws the schedule, durations and victims; printed, so that a run can be repeated
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How long faults are injected, minutes; shared out among the campaigns
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// Rows of the matrix, such as 1,5,7; all by default
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<u8>,
    /// One broker and one mongod, three of each, or both in turn
    #[arg(long, value_enum, default_value_t = Nodes::Both)]
    pub(crate) nodes: Nodes,
    /// Each chosen row once, briefly, on one node
    #[arg(long)]
    pub(crate) short: bool,
    /// Show that each of ten seeded bugs is caught, instead of testing what is built
    #[arg(long)]
    pub(crate) mutants: bool,
    /// Of those only these, by name
    #[arg(long, requires = "mutants")]
    pub(crate) mutant: Vec<String>,
    /// Instead of rows: Kafka and MongoDB both killed for so many seconds under load
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["mutants", "rows", "short"])]
    pub(crate) outage: Option<u64>,
    /// Messages a second before, during and after that outage
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: usize,
    /// Clients that send at once
    #[arg(long, default_value_t = 60)]
    pub(crate) clients: usize,
    /// Pause of a client between two messages, milliseconds
    #[arg(long, default_value_t = 100)]
    pub(crate) pace_ms: u64,
    /// The folder of the report
    #[arg(long, default_value = "target/faults")]
    pub(crate) report: PathBuf,
}

/// Which deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Nodes {
    /// One Kafka broker, one MongoDB member.
    Single,
    /// Three of each: replication factor 3, two in sync.
    Three,
    /// Both in turn.
    Both,
}

impl Args {
    /// The command that repeats this run.
    pub(crate) fn replay(&self, seed: u64) -> String {
        if let Some(seconds) = self.outage {
            return format!("cargo xtask faults --seed {seed} --outage {seconds} --rate {}", self.rate);
        }
        let rows: Vec<String> = self.rows.iter().map(u8::to_string).collect();
        let rows = if rows.is_empty() { String::new() } else { format!(" --rows {}", rows.join(",")) };
        let length = if self.short { " --short".to_owned() } else { format!(" --minutes {}", self.minutes) };
        let nodes = match self.nodes {
            Nodes::Single => " --nodes single",
            Nodes::Three => " --nodes three",
            Nodes::Both => "",
        };
        let load = format!(" --clients {} --pace-ms {}", self.clients, self.pace_ms);
        format!("cargo xtask faults --seed {seed}{length}{rows}{nodes}{load}")
    }
}
