//! What a run was made with, for its report.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Versions of everything that has a part in a run, and what the machine is.
#[must_use]
pub fn all() -> BTreeMap<&'static str, String> {
    let commit = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    BTreeMap::from([
        ("Wiber", format!("{} ({commit})", env!("CARGO_PKG_VERSION"))),
        ("Kafka", wiber_servers::tools::KAFKA_VERSION.to_owned()),
        ("MongoDB", wiber_servers::tools::MONGODB_VERSION.to_owned()),
        ("librdkafka", rdkafka::util::get_rdkafka_version().1),
        ("Linux", kernel),
        ("cores", std::thread::available_parallelism().map_or(0, usize::from).to_string()),
    ])
}
