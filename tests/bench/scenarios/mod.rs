//! The scenarios: each measures one thing that Wiber does, alone or as a whole.

mod accept;
mod at_rest;
mod conversations;
mod depth;
mod frozen;
mod latency;
mod leader;
mod path;
mod publish;
mod read;
mod store;
mod takeover;

use std::future::Future;
use std::pin::Pin;

use anyhow::{Context as _, bail};

use crate::args::Args;
use crate::figure::Outcome;

type Running = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>>>>;

/// One of them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) run: fn(Args) -> Running,
}

/// All, in the order in which they run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "accept", title: "durable accept, single messages", run: |args| Box::pin(accept::embedded(args)) },
    Scenario {
        name: "accept-spin",
        title: "durable accept under a real Spin, single messages",
        run: |args| Box::pin(accept::spin(args)),
    },
    Scenario {
        name: "accept-spin-wal",
        title: "the same with its journal forced into WAL, which that SQLite is not safe with",
        run: |args| Box::pin(accept::spin_wal(args)),
    },
    Scenario { name: "batch", title: "durable accept in batches of 100", run: |args| Box::pin(accept::batches(args)) },
    Scenario { name: "latency", title: "from POST to readable", run: |args| Box::pin(latency::run(args)) },
    Scenario { name: "publish", title: "from the outbox to Kafka", run: |args| Box::pin(publish::run(args)) },
    Scenario { name: "store", title: "from the topic to MongoDB, all indexes", run: |args| Box::pin(store::run(args)) },
    Scenario { name: "path", title: "the whole path at a steady rate", run: |args| Box::pin(path::run(args)) },
    Scenario {
        name: "read",
        title: "reading 50 messages, against what is stored",
        run: |args| Box::pin(read::run(args)),
    },
    Scenario {
        name: "takeover",
        title: "the longest wait of a message when a bridge is killed",
        run: |args| Box::pin(takeover::run(args)),
    },
    Scenario { name: "frozen", title: "accept while Kafka is frozen", run: |args| Box::pin(frozen::run(args)) },
    Scenario {
        name: "leader",
        title: "accept and publishing while one of three brokers is killed",
        run: |args| Box::pin(leader::run(args)),
    },
    Scenario { name: "rest", title: "what runs when nothing happens", run: |args| Box::pin(at_rest::run(args)) },
    Scenario {
        name: "depth",
        title: "accept and memory against the outbox's depth",
        run: |args| Box::pin(depth::run(args)),
    },
    Scenario {
        name: "conversations",
        title: "draining against the number of conversations",
        run: |args| Box::pin(conversations::run(args)),
    },
];

/// Those with these names; all if there are none.
///
/// # Errors
/// If there is no scenario of a name.
pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let known = || ALL.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    let named = |name: &String| {
        let found = ALL.iter().find(|scenario| scenario.name == name.as_str());
        found.with_context(|| format!("--scenarios: there is no {name:?}; there are {}", known()))
    };
    let chosen: Vec<&Scenario> = names.iter().map(named).collect::<anyhow::Result<_>>()?;
    let repeated = chosen.iter().enumerate().find(|(at, one)| chosen[..*at].iter().any(|other| other.name == one.name));
    if let Some((_, scenario)) = repeated {
        bail!("--scenarios: {} is named twice", scenario.name);
    }
    Ok(chosen)
}
