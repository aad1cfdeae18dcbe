//! A consumer under simulation: the real rules of this module, driven by simulated calls.
//!
//! What `group`, `survey`, `partition`, `writer` and `committer` do with tokio and the clients of Kafka and MongoDB is
//! done here with the simulation's tasks; what they decide is asked of the same code (`decide`, `Repeats`, `triage`,
//! `Batch`, `Heads`, `Offsets`, `Committing`, `dead_letter::document`).

mod commits;
mod follow;
mod group;
mod survey;
mod task;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::committing::Committing;
use super::gap::{Trouble, View};
use super::offsets::Offsets;
use crate::simulation::{Assignment, Lost, Process};

/// A partition was given up while something was being tried.
struct Stopped;

/// What the coordinator decided.
enum News {
    Assignment(Assignment),
    /// The member was evicted: others may own its partitions already.
    Lost,
}

/// How a task ended by itself.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Drained,
    Stopped(Trouble),
}

/// A partition that a task reads.
struct Reading {
    offsets: Rc<RefCell<Offsets>>,
    committing: Committing,
    stop: Rc<Cell<bool>>,
    task: u64,
}

enum State {
    Idle { reached: Option<i64>, trouble: Option<Trouble> },
    Reading(Reading),
}

struct Slot {
    generation: u64,
    state: State,
}

/// The answer to a commit.
struct Committed {
    offsets: Vec<(i32, i64)>,
    taken: bool,
}

/// What the tasks of one membership share.
#[derive(Default)]
struct Shared {
    news: VecDeque<News>,
    requests: VecDeque<Vec<(i32, i64)>>,
    answers: VecDeque<Committed>,
    ended: VecDeque<(i32, u64, Ended)>,
    surveyed: Option<Result<survey::Survey, Lost>>,
    /// The client met another incarnation of the topic, or is of no more use.
    failed: bool,
    slots: BTreeMap<i32, Slot>,
}

/// One membership in the group.
#[derive(Clone)]
struct Group {
    process: Process,
    shared: Rc<RefCell<Shared>>,
    member: u64,
    /// The topic's incarnation that the client reads.
    topic_id: u64,
    generations: Rc<Cell<u64>>,
}

/// Starts a consumer.
pub(crate) fn start(process: &Process) {
    process.spawn(group::run(process.clone()));
}

impl Slot {
    fn reading(&self) -> Option<&Reading> {
        match &self.state {
            State::Reading(reading) => Some(reading),
            State::Idle { .. } => None,
        }
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        match &mut self.state {
            State::Reading(reading) => Some(reading),
            State::Idle { .. } => None,
        }
    }

    fn view(&self) -> View {
        match &self.state {
            State::Idle { reached, trouble } => View::Idle { reached: *reached, trouble: *trouble },
            State::Reading(reading) => {
                let offsets = reading.offsets.borrow();
                // Nothing stands still here for as long as a stall takes.
                View::Reading { position: offsets.position(), committable: offsets.committable(), stalled: false }
            }
        }
    }
}
