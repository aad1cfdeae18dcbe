//! The broker's configuration file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{Options, Voter, data};
use crate::Error;

/// Writes the file, anew at each start since ports may have changed.
pub(super) fn write(options: &Options) -> Result<PathBuf, Error> {
    fs::create_dir_all(&options.dir).map_err(Error::io("create", &options.dir))?;
    let path = options.dir.join("server.properties");
    fs::write(&path, text(options)).map_err(Error::io("write", &path))?;
    Ok(path)
}

fn text(options: &Options) -> String {
    let mut properties = defaults(options);
    properties.extend(options.properties.iter().cloned());
    properties.iter().map(|(name, value)| format!("{name}={}\n", escaped(value))).collect()
}

fn defaults(options: &Options) -> BTreeMap<String, String> {
    let port = options.port.unwrap_or_default();
    let controller_port = options.controller_port.unwrap_or_default();
    let advertised = options.advertised_port.unwrap_or(port);
    let alone = [Voter { node_id: options.node_id, controller_port }];
    let quorum = if options.quorum.is_empty() { &alone[..] } else { &options.quorum };
    let voters: Vec<_> =
        quorum.iter().map(|node| format!("{}@127.0.0.1:{}", node.node_id, node.controller_port)).collect();
    let replicas = quorum.len().min(3);
    let in_sync = replicas.div_ceil(2).max(1);
    [
        ("process.roles", "broker,controller".into()),
        ("node.id", options.node_id.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", format!("BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}")),
        ("advertised.listeners", format!("BROKER://127.0.0.1:{advertised}")),
        ("listener.security.protocol.map", "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT".into()),
        ("inter.broker.listener.name", "BROKER".into()),
        ("controller.listener.names", "CONTROLLER".into()),
        ("log.dirs", data(&options.dir).display().to_string()),
        ("auto.create.topics.enable", "false".into()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("offsets.topic.num.partitions", "4".into()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
        ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
        ("share.coordinator.state.topic.min.isr", in_sync.to_string()),
        // A folder that was not used for weeks must still know how far its consumers had come.
        ("offsets.retention.minutes", i32::MAX.to_string()),
        // Consumers may choose short sessions, so that another takes over quickly.
        ("group.min.session.timeout.ms", "1000".into()),
        ("group.initial.rebalance.delay.ms", "0".into()),
        // A broker that was killed may register again only when its last session has run out; 9 s by default.
        ("broker.session.timeout.ms", "3000".into()),
        ("broker.heartbeat.interval.ms", "500".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A backslash begins an escape in a properties file.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_three_names_all_and_keeps_two_in_sync() {
        let mut options = Options::new("/d");
        options.node_id = 2;
        options.port = Some(1);
        options.controller_port = Some(2);
        options.quorum =
            [(1, 11), (2, 12), (3, 13)].map(|(node_id, controller_port)| Voter { node_id, controller_port }).into();
        options.properties =
            vec![("node.rack".into(), "a\\b".into()), ("offsets.topic.num.partitions".into(), "9".into())];
        let text = text(&options);
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        has("controller.quorum.voters=1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13");
        has("offsets.topic.replication.factor=3");
        has("transaction.state.log.min.isr=2");
        has("node.rack=a\\\\b");
        has("offsets.topic.num.partitions=9");
        has("log.dirs=/d/data");
    }
}
