//! Host and bridge, with the settings that bring them together.

use wiber_servers::process::{Process, Spec};

use super::Arguments;
use super::secrets::Secrets;
use super::servers::Addresses;
use crate::repository::Repository;

/// A fixed member of the consumer group: after a crash it takes its partitions back at once, instead of waiting until
/// Kafka has given up its predecessor.
const INSTANCE_ID: &str = "cargo-xtask-up";
/// Shorter than brokers allow by default; the one that is started here allows it.
const SESSION_TIMEOUT: (&str, &str) = ("WIBER_KAFKA_SESSION_TIMEOUT_MS", "2000");

pub(super) fn host(repository: &Repository, arguments: &Arguments, secrets: &Secrets) -> anyhow::Result<Process> {
    let data = repository.data();
    let spec = Spec::new("host", repository.programs().join("wiber-host"), data.join("logs/host.log"))
        .args([
            "--manifest",
            "spin.toml",
            "--runtime-config-file",
            "runtime-config.toml",
            "--cache-dir",
            ".wiber/cache",
        ])
        .args(["--listen".to_owned(), format!("127.0.0.1:{}", arguments.host_port)])
        .env("SPIN_VARIABLE_OUTBOX_TOKEN", &secrets.outbox_token)
        .env("SPIN_VARIABLE_QUERY_TOKEN", &secrets.query_token)
        .env("SPIN_VARIABLE_BRIDGE_URL", format!("http://127.0.0.1:{}", arguments.bridge_port))
        // Paths in both files are relative to the checkout.
        .dir(repository.root());
    Ok(Process::spawn(spec)?)
}

pub(super) fn bridge(
    repository: &Repository,
    arguments: &Arguments,
    secrets: &Secrets,
    addresses: &Addresses,
) -> anyhow::Result<Process> {
    let log = repository.data().join("logs/bridge.log");
    let mut spec = Spec::new("bridge", repository.programs().join("wiber-bridge"), log)
        .env("WIBER_OUTBOX_TOKEN", &secrets.outbox_token)
        .env("WIBER_QUERY_TOKEN", &secrets.query_token)
        .env("WIBER_LISTEN", format!("127.0.0.1:{}", arguments.bridge_port))
        .env("WIBER_OUTBOX_URLS", format!("http://127.0.0.1:{}", arguments.host_port))
        .env("KAFKA_BOOTSTRAP_SERVERS", &addresses.kafka)
        .env("MONGO_URI", &addresses.mongo)
        .dir(repository.root());
    // On a Kafka that others use too, a second `up` under the same name would take the place of this one.
    if addresses.kafka_is_ours {
        spec = spec.env("WIBER_INSTANCE_ID", INSTANCE_ID);
        let (name, value) = SESSION_TIMEOUT;
        if std::env::var_os(name).is_none() {
            spec = spec.env(name, value);
        }
    }
    Ok(Process::spawn(spec)?)
}
