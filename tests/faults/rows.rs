//! The rows of the fault matrix. Each injects its fault once, holds it, heals it, and says what did not hold; whether
//! messages were lost is judged at the campaign's end.

mod bridge;
mod clock;
mod host;
mod kafka;
mod links;
mod mongo;
mod outbox;
mod poison;
mod rights;
mod sending;
mod sockets;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::calm::{Calm, Required, Touches};
use crate::injection::{Done, Trouble};
use crate::world::{Shape, World};

/// How much longer than the matrix says something may take on a machine that does much else.
const SLACK: u32 = 3;

/// What a row works with.
pub(crate) struct Context {
    pub(crate) world: Arc<World>,
    pub(crate) draws: StdRng,
    /// Short holds and few repetitions.
    pub(crate) short: bool,
    /// What the row touches.
    pub(crate) own: &'static [Part],
    pub(crate) touches: Arc<Touches>,
    pub(crate) required: Arc<Required>,
}

impl Context {
    /// A duration between two numbers of seconds; short ones are a third of it.
    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        let seconds = self.draws.random_range(from..=to);
        Duration::from_secs_f64(if self.short { seconds / 3.0 } else { seconds })
    }

    /// Watches whether others leave these alone.
    fn calm(&self, parts: &[Part]) -> Calm {
        Calm::begin(&self.touches, &self.required, parts, self.own)
    }

    /// For how long a fault lasts.
    async fn hold(&mut self, from: f64, to: f64) -> Duration {
        let duration = self.seconds(from, to);
        tokio::time::sleep(duration).await;
        duration
    }
}

/// What a fault touches: two that share a part never work at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Host,
    Bridge,
    Kafka,
    Mongo,
}

/// In which campaigns a row has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// With any other.
    Ordinary,
    /// It destroys records of Kafka's log, after which the log no longer shows the order of everything.
    LogLoss,
}

type Body = fn(Context) -> BoxFuture<'static, Result<Done, Trouble>>;

/// A row of the matrix.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [Part],
    pub(crate) shapes: &'static [Shape],
    pub(crate) class: Class,
    /// Whether it belongs to the short run.
    pub(crate) short: bool,
    pub(crate) body: Body,
}

const SINGLE: &[Shape] = &[Shape::Single];
const THREE: &[Shape] = &[Shape::Three];
const BOTH: &[Shape] = &[Shape::Single, Shape::Three];

macro_rules! row {
    ($number:literal, $name:literal, [$($part:ident),+], $shapes:expr, $class:ident, $short:literal, $body:path) => {
        Row {
            number: $number,
            name: $name,
            parts: &[$(Part::$part),+],
            shapes: $shapes,
            class: Class::$class,
            short: $short,
            body: |context| Box::pin($body(context)),
        }
    };
}

/// Every row that runs in campaigns, in the order of the matrix.
pub(crate) const ALL: &[Row] = &[
    row!(1, "host killed at random points of commits", [Host], BOTH, Ordinary, true, host::killed),
    row!(
        2,
        "relay dies between Kafka's report and its mark",
        [Bridge],
        BOTH,
        Ordinary,
        true,
        bridge::dies_before_marks
    ),
    row!(
        3,
        "consumer dies between write and commit",
        [Bridge, Kafka],
        BOTH,
        Ordinary,
        true,
        bridge::dies_before_commits
    ),
    row!(4, "two relays overlap", [Bridge], BOTH, Ordinary, true, bridge::overlaps),
    row!(5, "bridge paused, then awake", [Bridge], BOTH, Ordinary, true, bridge::sleeps),
    row!(6, "Kafka paused longer than its session", [Kafka], BOTH, Ordinary, true, kafka::pauses),
    row!(7, "one of three brokers killed", [Kafka], THREE, Ordinary, false, kafka::one_killed),
    row!(8, "two of three brokers killed", [Kafka], THREE, Ordinary, false, kafka::two_killed),
    row!(9, "Kafka's log directories wiped", [Kafka, Mongo], BOTH, LogLoss, true, topic::wiped),
    row!(10, "topic deleted and made anew", [Kafka, Mongo], BOTH, LogLoss, true, topic::recreated),
    row!(11, "Kafka's disk full", [Kafka], SINGLE, LogLoss, false, kafka::disk_full),
    row!(12, "bytes flipped in a closed segment", [Bridge, Kafka, Mongo], SINGLE, LogLoss, false, topic::flipped),
    row!(13, "poison records", [Kafka], BOTH, Ordinary, true, poison::poisoned),
    row!(14, "consumers join and leave every 2 s", [Bridge], BOTH, Ordinary, false, bridge::churns),
    row!(15, "MongoDB slow", [Mongo], BOTH, Ordinary, false, mongo::slow),
    row!(16, "primary steps down or is killed", [Mongo], THREE, Ordinary, false, mongo::loses_primary),
    row!(17, "minority or majority of MongoDB cut off", [Mongo], THREE, Ordinary, false, mongo::cut_off),
    row!(18, "all of MongoDB down", [Mongo], BOTH, Ordinary, true, mongo::down),
    row!(19, "writes fail, half or without an answer", [Mongo], BOTH, Ordinary, true, mongo::fails_writes),
    row!(20, "outbox's disk full", [Host, Bridge], BOTH, Ordinary, true, outbox::disk_full),
    row!(21, "fsync slow, or failing with EIO", [Host], BOTH, Ordinary, true, outbox::fsync),
    row!(22, "the outbox's log damaged while stopped", [Host], BOTH, Ordinary, true, outbox::damaged),
    row!(23, "links cut, held, one-way, flapping", [Bridge, Kafka, Mongo], BOTH, Ordinary, true, links::cut),
    row!(24, "links slow, breaking, byte by byte", [Bridge, Kafka, Mongo], BOTH, Ordinary, false, links::slow),
    row!(25, "wall clock jumps", [Host, Bridge], BOTH, Ordinary, false, clock::jumps),
    row!(26, "out of memory or file descriptors", [Host, Bridge], BOTH, Ordinary, false, host::starved),
    row!(27, "rights revoked, then granted", [Bridge, Kafka, Mongo], BOTH, Ordinary, true, rights::revoked),
    row!(29, "slow sockets and endless bodies", [Host], BOTH, Ordinary, false, sockets::slow),
    row!(30, "SIGTERM of each in any order", [Host, Bridge, Kafka, Mongo], BOTH, Ordinary, false, host::terminated),
];
