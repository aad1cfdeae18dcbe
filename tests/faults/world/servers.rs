//! The servers of a world, each behind a link that the others and the bridges use.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use wiber_servers::kafka::{self, Kafka, Voter};
use wiber_servers::mongo::{self, Mongo};
use wiber_servers::tools::Tools;
use wiber_tests::ports;
use wiber_tests::proxy::Proxy;

use super::Shape;

/// A Kafka node.
pub(crate) struct Broker {
    pub(crate) kafka: Kafka,
    pub(crate) link: Proxy,
}

/// A MongoDB node.
pub(crate) struct Member {
    pub(crate) mongo: Mongo,
    pub(crate) link: Proxy,
}

impl Broker {
    /// Runs, whatever was done to it.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        if self.kafka.process().status().is_some() {
            return Ok(self.kafka.start().await?);
        }
        Ok(self.kafka.resume()?)
    }
}

impl Member {
    /// Runs, whatever was done to it.
    pub(crate) async fn revive(&self) -> anyhow::Result<()> {
        if self.mongo.process().status().is_some() {
            return Ok(self.mongo.start().await?);
        }
        Ok(self.mongo.resume()?)
    }
}

/// Whom the bridges are to Kafka. Brokers and the harness have a listener of their own, without links and beyond rights.
pub(crate) const USER: &str = "bridge";
pub(crate) const PASSWORD: &str = "bridges-secret";

/// The bridges' librdkafka properties.
pub(crate) fn client_properties() -> String {
    format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.username={USER}\nsasl.password={PASSWORD}"
    )
}

fn properties(port: u16, controller: u16, clients: u16, link: u16) -> Vec<(String, String)> {
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    [
        // Small, so that segments are closed while a run goes on.
        ("log.segment.bytes", (1 << 20).to_string()),
        (
            "listeners",
            format!("BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},CLIENT://127.0.0.1:{clients}"),
        ),
        ("advertised.listeners", format!("BROKER://127.0.0.1:{port},CLIENT://127.0.0.1:{link}")),
        ("listener.security.protocol.map", "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_PLAINTEXT".to_owned()),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-256".to_owned()),
        ("listener.name.client.scram-sha-256.sasl.jaas.config", login.to_owned()),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
        ("super.users", "User:ANONYMOUS".to_owned()),
        ("allow.everyone.if.no.acl.found", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(super) async fn brokers(tools: &Tools, shape: Shape, folder: &Path) -> anyhow::Result<Vec<Broker>> {
    let quorum: Vec<Voter> = (1..=u32::try_from(shape.nodes())?)
        .map(|node_id| Voter { node_id, controller_port: ports::reserve() })
        .collect();
    let start = async |voter: &Voter| {
        let (port, clients) = (ports::reserve(), ports::reserve());
        let link = Proxy::start(local(clients)).await;
        let mut options = kafka::Options::new(folder.join(format!("kafka-{}", voter.node_id)));
        options.node_id = voter.node_id;
        options.port = Some(port);
        options.controller_port = Some(voter.controller_port);
        options.users = vec![(USER.to_owned(), PASSWORD.to_owned())];
        if shape == Shape::Three {
            options.quorum.clone_from(&quorum);
        }
        options.properties = properties(port, voter.controller_port, clients, link.address().port());
        anyhow::Ok(Broker { kafka: kafka::start(&tools.kafka, options).await?, link })
    };
    futures::future::try_join_all(quorum.iter().map(start)).await
}

pub(super) async fn members(tools: &Tools, shape: Shape, folder: &Path) -> anyhow::Result<Vec<Member>> {
    let mut places = Vec::new();
    for _ in 0..shape.nodes() {
        let port = ports::reserve();
        places.push((port, Proxy::start(local(port)).await));
    }
    let addresses: Vec<String> = places.iter().map(|(_, link)| link.address().to_string()).collect();
    let start = async |(index, (port, link)): (usize, (u16, Proxy))| {
        let mut options = mongo::Options::new(folder.join(format!("mongo-{}", index + 1)));
        options.port = Some(port);
        options.advertised_port = Some(link.address().port());
        if shape == Shape::Three {
            options.members.clone_from(&addresses);
        }
        anyhow::Ok(Member { mongo: mongo::start(&tools.mongo, options).await?, link })
    };
    futures::future::try_join_all(places.into_iter().enumerate().map(start)).await
}
