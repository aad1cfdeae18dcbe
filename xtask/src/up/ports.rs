//! Ports are checked before anything is started; none is chosen silently.

mod holder;

use anyhow::bail;
use wiber_servers::ports::is_free;

use super::Arguments;
use super::servers::Own;

struct Wanted {
    what: &'static str,
    flag: &'static str,
    port: u16,
}

/// Refuses to start if a port is taken, naming port, holder and flag, all of them at once.
pub(super) fn check(arguments: &Arguments, own: &Own) -> anyhow::Result<()> {
    let wanted = wanted(arguments, own);
    let mut problems = Vec::new();
    for (index, Wanted { what, flag, port }) in wanted.iter().enumerate() {
        if let Some(other) = wanted[..index].iter().find(|other| other.port == *port) {
            problems.push(format!("port {port} is asked for twice, by {} and {flag}", other.flag));
        } else if !is_free(*port) {
            let holder = holder::of(*port).unwrap_or_else(|| "another user's process".to_owned());
            problems
                .push(format!("port {port} for {what} is taken by {holder}; stop it or choose another with {flag}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n       ")) }
}

fn wanted(arguments: &Arguments, own: &Own) -> Vec<Wanted> {
    let mut wanted = vec![
        Wanted { what: "the HTTP API", flag: "--host-port", port: arguments.host_port },
        Wanted { what: "the bridge", flag: "--bridge-port", port: arguments.bridge_port },
    ];
    if own.kafka.is_none() {
        wanted.push(Wanted { what: "Kafka", flag: "--kafka-port", port: arguments.kafka_port });
        let port = arguments.kafka_controller_port;
        wanted.push(Wanted { what: "Kafka's controller", flag: "--kafka-controller-port", port });
    }
    if own.mongo.is_none() {
        wanted.push(Wanted { what: "MongoDB", flag: "--mongo-port", port: arguments.mongo_port });
    }
    wanted
}
