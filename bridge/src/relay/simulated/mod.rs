//! A relay under simulation: the real rules of this module, driven by simulated calls.
//!
//! What `lease`, `drain`, `run`, `ending` and `settle` do with tokio, reqwest and librdkafka is done here with the
//! simulation's tasks; what they decide is asked of the same code ([`Held`], [`Course`], `Session`, `Walk`,
//! `Forgotten`, `waiting_for`).

mod session;
mod settle;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::course::{After, Course};
use super::drain::with_runs;
use super::session::End;
use super::tenure::{Answer, Held, NextCall, Tenure};
use crate::kafka::lag::{Lag, Standing};
use crate::simulation::{Lost, Mutant, Process, Reply, Server, TOPIC};
use crate::store::{Gap, Resent, Topic};

/// As `chores::Chore`.
#[derive(Clone)]
enum Chore {
    Topic(Topic),
    Resent(Gap, Resent),
}

/// What the tasks of one outbox share.
#[derive(Default)]
struct State {
    held: Held,
    gaps: Vec<Gap>,
    lag: Option<Lag>,
    /// Rows are to be sent again: asked for, and asked for or under way.
    asked: bool,
    under_way: bool,
    /// Rung: renew the lease; look for what is settled.
    renew: bool,
    published: bool,
    chores: VecDeque<Chore>,
}

/// One outbox as one relay process serves it.
#[derive(Clone)]
struct Relay {
    process: Process,
    outbox: usize,
    url: String,
    outbox_id: String,
    holder: String,
    state: Rc<RefCell<State>>,
}

/// Starts a relay of every outbox.
pub(crate) fn start(process: &Process) {
    let outboxes = process.world.borrow().outboxes.len();
    for outbox in 0..outboxes {
        let (url, outbox_id) = {
            let world = process.world.borrow();
            (world.outboxes[outbox].url.clone(), world.outboxes[outbox].id.clone())
        };
        let holder = format!("relay-{:?}", process.key());
        let relay = Relay { process: process.clone(), outbox, url, outbox_id, holder, state: Rc::default() };
        let keeper = process.spawn(relay.clone().keep());
        process.spawn(relay.clone().watch_gaps());
        process.spawn(relay.clone().measure());
        process.spawn(relay.clone().tell());
        process.spawn(settle::run(relay.clone()));
        process.spawn(relay.serve(keeper));
    }
}

impl Relay {
    fn server(&self) -> Server {
        Server::Outbox(self.outbox)
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.process.now())
    }

    async fn keep(self) {
        let mut wait = 50;
        loop {
            let called = self.uptime();
            let ttl = self.state.borrow().held.ttl();
            let answer = self.call_for_lease(ttl).await;
            let next = self.state.borrow_mut().held.answered(answer, self.uptime() - called);
            match next {
                NextCall::Renew(renewal) => {
                    wait = 50;
                    let until = self.process.now() + u64::try_from(renewal.as_millis()).unwrap();
                    self.process
                        .world
                        .borrow_mut()
                        .engine
                        .wake(u64::try_from(renewal.as_millis()).unwrap(), self.process.key());
                    let (state, world) = (Rc::clone(&self.state), Rc::clone(&self.process.world));
                    self.process
                        .until(move || {
                            std::mem::take(&mut state.borrow_mut().renew) || world.borrow().engine.now >= until
                        })
                        .await;
                }
                NextCall::Retry => self.process.pause(&mut wait, 250).await,
            }
        }
    }

    async fn call_for_lease(&self, ttl: Duration) -> Answer {
        let (outbox, holder) = (self.outbox, self.holder.clone());
        let ttl = u64::try_from(ttl.as_millis()).unwrap();
        let answer = self.process.ask(self.server(), move |world| {
            let now = world.engine.now;
            world.outboxes[outbox].take_lease(&holder, now, ttl)
        });
        match answer.await {
            Ok(Some(number)) => Answer::Granted(Tenure { outbox_id: self.outbox_id.clone(), number: Some(number) }),
            Ok(None) => Answer::HeldByAnother,
            Err(_) => Answer::Silence,
        }
    }

    /// As `Drain::confirm`.
    async fn confirm(&self, tenure: &Tenure) -> Option<End> {
        let mut wait = 50;
        while !self.process.stopping.get() {
            let ttl = self.state.borrow().held.ttl();
            match tenure.goes_on(&self.call_for_lease(ttl).await) {
                Some(true) => return None,
                Some(false) => return Some(End::LeaseLost),
                None => self.process.pause(&mut wait, 250).await,
            }
        }
        Some(End::Shutdown)
    }

    async fn watch_gaps(self) {
        loop {
            let gaps = self.process.ask(Server::Mongo, |world| world.mongo.majority.gaps.values().cloned().collect());
            if let Ok(gaps) = gaps.await {
                self.state.borrow_mut().gaps = gaps;
            }
            self.process.sleep(1_000).await;
        }
    }

    /// As `kafka::lag` measures: committed offsets first.
    async fn measure(self) {
        for round in 0.. {
            let committed = self.process.ask(Server::Kafka, |world| world.kafka.coordinator.committed.clone());
            let lag = match committed.await {
                Ok(committed) => self.ends().await.map(|ends| {
                    let standing = |(committed, end): (Option<i64>, Option<i64>)| {
                        Some(Standing { reached: committed.unwrap_or(0), end: end? })
                    };
                    Lag { partitions: committed.into_iter().zip(ends).map(standing).collect(), round }
                }),
                Err(_) => None,
            };
            self.state.borrow_mut().lag = lag;
            self.process.sleep(5_000).await;
        }
    }

    /// The end of each partition that is led.
    async fn ends(&self) -> Option<Vec<Option<i64>>> {
        let ends = self.process.ask(Server::Kafka, |world| {
            let now = world.engine.now;
            let led = |p: &crate::simulation::Partition| (p.down_until <= now).then(|| p.log().high);
            world.kafka.partitions.iter().map(led).collect::<Vec<_>>()
        });
        ends.await.ok()
    }

    /// Tells MongoDB which gaps are filled, in order, each until it has it.
    async fn tell(self) {
        loop {
            let state = Rc::clone(&self.state);
            self.process.until(move || !state.borrow().chores.is_empty()).await;
            let Some(chore) = self.state.borrow_mut().chores.pop_front() else { continue };
            let mut wait = 100;
            while self.attempt(chore.clone()).await.is_err() {
                self.process.pause(&mut wait, 2_000).await;
            }
        }
    }

    async fn attempt(&self, chore: Chore) -> Result<(), Lost> {
        match chore {
            Chore::Resent(gap, resent) => {
                let told = self
                    .process
                    .ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.mark_resent(&gap, resent), ()));
                told.await
            }
            Chore::Topic(topic) => {
                if self.process.ask(Server::Mongo, |world| world.mongo.majority.topic.is_some()).await? {
                    return Ok(());
                }
                let told = self.process.ask_for(Server::Mongo, move |world| {
                    let change = world.mongo.change(move |data| data.topic = Some(topic.clone()));
                    Reply::Majority(change, ())
                });
                told.await
            }
        }
    }

    /// Drains until it is asked to end, then gives the lease up.
    async fn serve(self, keeper: u64) {
        self.drain().await;
        self.process.abort(keeper);
        let (outbox, holder) = (self.outbox, self.holder.clone());
        // Without an answer the lease expires.
        let _ = self.process.ask(self.server(), move |world| world.outboxes[outbox].release(&holder)).await;
    }

    async fn drain(&self) {
        let mut course = Course::default();
        let mut wait = 100;
        while !self.process.stopping.get() {
            let (state, stopping) = (Rc::clone(&self.state), Rc::clone(&self.process.stopping));
            self.process.until(move || state.borrow().held.tenure.is_some() || stopping.get()).await;
            let Some(tenure) = self.state.borrow().held.tenure.clone() else { continue };
            let gaps = course.waiting(&self.url, &self.state.borrow().gaps);
            let Some((topic, resends)) = self.starts(gaps).await else {
                self.process.pause(&mut wait, 2_000).await;
                continue;
            };
            if course.begins_in(&topic.topic_id) {
                self.state.borrow_mut().chores.push_back(Chore::Topic(topic));
            }
            let which = course.which(!resends.is_empty());
            self.state.borrow_mut().under_way = which == wiber_model::outbox::Which::Unsettled;
            self.process.note(|| format!("{} begins a session, {which:?}", self.holder));
            let outcome = session::run(self, which, &course, &tenure).await;
            self.process
                .world
                .borrow_mut()
                .engine
                .note(|| format!("{} ended a session, {:?}", self.holder, outcome.end));
            if outcome.progressed {
                wait = 100;
            }
            let end = match outcome.end {
                None => self.confirm(&tenure).await,
                ended => ended,
            };
            match course.ended(end, outcome.send_again) {
                After::Record => {
                    self.state.borrow_mut().under_way = false;
                    for (gap, resent) in with_runs(resends, outcome.number, &outcome.reach) {
                        course.served(&gap);
                        self.state.borrow_mut().chores.push_back(Chore::Resent(gap, resent));
                    }
                }
                After::Next => {}
                After::Pause | After::Verify => self.process.pause(&mut wait, 2_000).await,
            }
        }
    }

    async fn starts(&self, gaps: Vec<Gap>) -> Option<(Topic, Vec<(Gap, Resent)>)> {
        let topic = self.process.ask(Server::Kafka, |world| {
            let partitions = i32::try_from(world.kafka.partitions.len()).unwrap();
            Topic { topic_id: world.kafka.topic_id.to_string(), partitions }
        });
        let topic = topic.await.ok()?;
        if gaps.is_empty() {
            return Some((topic, Vec::new()));
        }
        let ends = self.ends().await?;
        let start = |gap: Gap| {
            let from_offset = ends[usize::try_from(gap.partition).unwrap()]?;
            debug_assert_eq!(gap.topic, TOPIC);
            Some((gap, Resent { url: self.url.clone(), outbox_id: self.outbox_id.clone(), from_offset, run: None }))
        };
        Some((topic, gaps.into_iter().map(start).collect::<Option<_>>()?))
    }

    fn has(&self, mutant: Mutant) -> bool {
        self.process.world.borrow().has(mutant)
    }
}
