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

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(super) async fn brokers(tools: &Tools, shape: Shape, folder: &Path) -> anyhow::Result<Vec<Broker>> {
    let quorum: Vec<Voter> = (1..=u32::try_from(shape.nodes())?)
        .map(|node_id| Voter { node_id, controller_port: ports::reserve() })
        .collect();
    let start = async |voter: &Voter| {
        let port = ports::reserve();
        let link = Proxy::start(local(port)).await;
        let mut options = kafka::Options::new(folder.join(format!("kafka-{}", voter.node_id)));
        options.node_id = voter.node_id;
        options.port = Some(port);
        options.controller_port = Some(voter.controller_port);
        options.advertised_port = Some(link.address().port());
        if shape == Shape::Three {
            options.quorum.clone_from(&quorum);
        }
        // Small, so that segments are closed while a run goes on.
        options.properties = vec![("log.segment.bytes".to_owned(), (1 << 20).to_string())];
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
