//! A model of outbox, relays and Kafka that drives [`Session`] through every kind of accident.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use wiber_model::MessageId;
use wiber_model::outbox::Which;

use super::session::{End, Place, Session, Unsent};

const PARTITIONS: usize = 2;
const CONVERSATIONS: usize = 4;

/// What can happen; numbers choose among what is possible.
#[derive(Debug, Clone)]
enum Step {
    /// A message is accepted.
    Accept(usize),
    /// A relay reads up to so many rows.
    Read(usize, u32),
    /// A relay hands a row over.
    HandOver(usize),
    /// Kafka appends the next row of a relay's partition and its report arrives.
    Append(usize, usize),
    /// Kafka appends it and the report is lost with the producer: everything in flight fails.
    AppendAndFail(usize, usize),
    /// The producer fails; what was in its hands may still be appended by a broker that got it before.
    Fail(usize),
    /// A mark arrives and is answered.
    Mark(usize),
    /// A mark arrives and its answer is lost.
    MarkUnanswered(usize),
    /// A relay dies and another begins.
    Crash(usize),
    /// A relay ends its session and drops its producer with what is in flight.
    LoseLease(usize),
    /// A gap asks for all unsettled rows once more.
    Resend(usize),
    /// A broker appends what a dropped producer had sent.
    AppendLate(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let relay = 0..2_usize;
    let step = prop_oneof![
        4 => (0..CONVERSATIONS).prop_map(Step::Accept),
        4 => (relay.clone(), 1..4_u32).prop_map(|(r, n)| Step::Read(r, n)),
        8 => relay.clone().prop_map(Step::HandOver),
        8 => (relay.clone(), 0..PARTITIONS).prop_map(|(r, p)| Step::Append(r, p)),
        1 => (relay.clone(), 0..PARTITIONS).prop_map(|(r, p)| Step::AppendAndFail(r, p)),
        1 => relay.clone().prop_map(Step::Fail),
        3 => relay.clone().prop_map(Step::Mark),
        1 => relay.clone().prop_map(Step::MarkUnanswered),
        1 => relay.clone().prop_map(Step::Crash),
        1 => relay.clone().prop_map(Step::LoseLease),
        1 => relay.prop_map(Step::Resend),
        3 => (0..8_usize).prop_map(Step::AppendLate),
    ];
    proptest::collection::vec(step, 1..200)
}

type Queues = [VecDeque<i64>; PARTITIONS];

struct Relay {
    session: Session<()>,
    in_flight: Queues,
}

impl Relay {
    fn new(which: Which) -> Self {
        Self { session: Session::new(which), in_flight: Queues::default() }
    }
}

#[derive(Default)]
struct World {
    /// Position - 1 is the index; the value is the conversation.
    rows: Vec<usize>,
    published: BTreeSet<i64>,
    log: [Vec<i64>; PARTITIONS],
    relays: Vec<Relay>,
    /// What dropped producers had sent: brokers append a prefix of each, some day or never.
    late: Vec<Queues>,
}

impl World {
    fn new() -> Self {
        Self { relays: vec![Relay::new(Which::Unpublished), Relay::new(Which::Unpublished)], ..Self::default() }
    }

    fn partition(&self, position: i64) -> usize {
        self.rows[usize::try_from(position).unwrap() - 1] % PARTITIONS
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Accept(conversation) => self.rows.push(conversation),
            Step::Read(relay, limit) => self.read(relay, limit),
            Step::HandOver(relay) => self.hand_over(relay),
            Step::Append(relay, partition) => self.append(relay, partition),
            Step::AppendAndFail(relay, partition) => {
                if let Some(position) = self.relays[relay].in_flight[partition].pop_front() {
                    self.log[partition].push(position);
                    self.relays[relay].session.failed(position);
                    self.restart(relay, Which::Unpublished);
                }
            }
            Step::Fail(relay) => {
                if let Some(position) = self.relays[relay].in_flight.iter().flatten().next().copied() {
                    self.relays[relay].session.failed(position);
                    assert_eq!(self.relays[relay].session.ending(), Some(End::Failed));
                }
                self.restart(relay, Which::Unpublished);
            }
            Step::Mark(relay) => {
                let rows = self.mark(relay);
                self.relays[relay].session.marked(&rows);
            }
            Step::MarkUnanswered(relay) => drop(self.mark(relay)),
            Step::Crash(relay) => self.restart(relay, Which::Unpublished),
            Step::LoseLease(relay) => {
                self.relays[relay].session.end(End::LeaseLost);
                self.restart(relay, Which::Unpublished);
            }
            Step::Resend(relay) => {
                self.relays[relay].session.end(End::Resend);
                self.restart(relay, Which::Unsettled);
            }
            Step::AppendLate(choice) => self.append_late(choice),
        }
    }

    fn read(&mut self, relay: usize, limit: u32) {
        let Some(read) = self.relays[relay].session.want_read(limit) else { return };
        let last = i64::try_from(self.rows.len()).unwrap();
        let wanted = |p: &i64| read.which == Which::Unsettled || !self.published.contains(p);
        let rows = (read.after + 1..=last).filter(wanted).take(read.limit as usize);
        let rows = rows
            .map(|position| Unsent { position, message_id: MessageId::new(position, [0; 10]), payload: () })
            .collect();
        let last_position = (read.which == Which::Unsettled).then_some(last);
        self.relays[relay].session.received(rows, last_position).unwrap();
    }

    fn hand_over(&mut self, relay: usize) {
        let Some(position) = self.relays[relay].session.next_unsent().map(|row| row.position) else { return };
        let partition = self.partition(position);
        self.relays[relay].in_flight[partition].push_back(position);
        self.relays[relay].session.handed_over();
    }

    fn append(&mut self, relay: usize, partition: usize) {
        let Some(position) = self.relays[relay].in_flight[partition].pop_front() else { return };
        self.log[partition].push(position);
        let offset = i64::try_from(self.log[partition].len()).unwrap() - 1;
        let place = Place { partition: i32::try_from(partition).unwrap(), offset, published_at_ms: 0 };
        self.relays[relay].session.acknowledged(position, place);
    }

    fn mark(&mut self, relay: usize) -> Vec<wiber_model::outbox::PublishedRow> {
        let rows = self.relays[relay].session.to_mark(3);
        self.published.extend(rows.iter().map(|row| row.position));
        rows
    }

    fn restart(&mut self, relay: usize, which: Which) {
        let old = std::mem::replace(&mut self.relays[relay], Relay::new(which));
        self.late.push(old.in_flight);
    }

    fn append_late(&mut self, choice: usize) {
        let queues: Vec<(usize, usize)> = (0..self.late.len())
            .flat_map(|l| (0..PARTITIONS).map(move |p| (l, p)))
            .filter(|&(l, p)| !self.late[l][p].is_empty())
            .collect();
        if queues.is_empty() {
            return;
        }
        let (l, p) = queues[choice % queues.len()];
        if let Some(position) = self.late[l][p].pop_front() {
            self.log[p].push(position);
        }
    }

    /// All is well again: one relay works until nothing is left.
    fn settle_down(&mut self) {
        self.restart(1, Which::Unpublished);
        for _ in 0..self.rows.len() * 8 + 8 {
            self.read(0, 3);
            self.hand_over(0);
            for partition in 0..PARTITIONS {
                self.append(0, partition);
            }
            let rows = self.mark(0);
            self.relays[0].session.marked(&rows);
            if self.relays[0].session.is_complete() {
                self.restart(0, Which::Unpublished);
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut seen: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for log in &self.log {
            for position in log {
                let order = seen.entry(self.rows[usize::try_from(*position).unwrap() - 1]).or_default();
                if !order.contains(position) {
                    order.push(*position);
                }
            }
        }
        for (conversation, order) in &seen {
            prop_assert!(order.is_sorted(), "conversation {conversation} first appears as {order:?}");
        }
        let logged: usize = seen.values().map(Vec::len).sum();
        prop_assert_eq!(logged, self.rows.len(), "every accepted row is in the log");
        prop_assert_eq!(self.published.len(), self.rows.len(), "every row is marked");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_acknowledged_and_first_appearances_keep_the_order(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle_down();
        world.check()?;
    }
}
