//! One session under simulation: `run` and `ending`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wiber_model::Message;
use wiber_model::outbox::{ROWS_MAX, Which};

use super::super::course::Course;
use super::super::session::{End, Place, Reach, Session, Unsent};
use super::super::tenure::Tenure;
use super::Relay;
use crate::simulation::{Mutant, Record, Report, Reports, Watched, partition_of};

/// How a session ended, as `run::Outcome`.
pub(super) struct Outcome {
    pub(super) end: Option<End>,
    pub(super) send_again: bool,
    pub(super) progressed: bool,
    pub(super) number: Option<i64>,
    pub(super) reach: Reach,
}

#[derive(Clone)]
struct Live {
    relay: Relay,
    tenure: Tenure,
    session: Rc<RefCell<Session<Message>>>,
    /// Nothing is read or marked beside the end any more.
    over: Rc<Cell<bool>>,
    number: Rc<Cell<Option<i64>>>,
}

/// One session: reader and marker beside the task that hands over.
pub(super) async fn run(relay: &Relay, which: Which, course: &Course, tenure: &Tenure) -> Outcome {
    let live = Live {
        relay: relay.clone(),
        tenure: tenure.clone(),
        session: Rc::new(RefCell::new(Session::new(which))),
        over: Rc::default(),
        number: Rc::default(),
    };
    let reports = Reports::default();
    let producer = relay.process.world.borrow_mut().kafka.new_producer(relay.process.key(), Rc::clone(&reports));
    let reader = relay.process.spawn(live.clone().read());
    let marker = relay.process.spawn(live.clone().mark());
    let mut outcome =
        Outcome { end: None, send_again: false, progressed: false, number: None, reach: Reach::default() };
    loop {
        live.take_reports(&reports, &mut outcome);
        live.look(course, &mut outcome);
        live.hand_over(producer);
        let done = live.session.borrow().ending().is_some() || live.session.borrow().is_complete();
        if done {
            break;
        }
        relay.process.turn().await;
    }
    live.over.set(true);
    relay.process.abort(reader);
    relay.process.abort(marker);
    live.await_reports(&reports, &mut outcome).await;
    relay.process.world.borrow_mut().drop_producer(producer);
    live.take_reports(&reports, &mut outcome);
    live.mark_the_rest().await;
    outcome.end = live.session.borrow().ending();
    outcome.number = live.number.get();
    outcome.reach = live.session.borrow().reach();
    outcome
}

impl Live {
    async fn read(self) {
        let mut wait = 50;
        loop {
            let session = Rc::clone(&self.session);
            self.relay.process.until(move || session.borrow().want_read(ROWS_MAX).is_some()).await;
            let Some(read) = self.session.borrow().want_read(4) else { continue };
            let (outbox, holder) = (self.relay.outbox, self.relay.holder.clone());
            let seen = self.relay.process.world.borrow().outboxes[outbox].version;
            let answer = self.relay.process.ask(self.relay.server(), move |world| {
                let now = world.engine.now;
                world.outboxes[outbox].read(&holder, now, read.which, read.after, read.limit)
            });
            let answer = answer.await;
            if self.over.get() {
                return;
            }
            match answer {
                Ok(Some(read_rows)) => {
                    wait = 50;
                    self.number.set(self.number.get().or(read_rows.run));
                    let is_empty = read_rows.rows.is_empty();
                    let rows = read_rows.rows.into_iter();
                    let rows = rows.map(|(position, message)| {
                        let message_id = message.message_id.clone();
                        Unsent { position, message_id, payload: message }
                    });
                    let taken = self.session.borrow_mut().received(rows.collect(), read_rows.last_position);
                    assert!(taken.is_ok(), "the simulated outbox answers in order");
                    if is_empty && read.may_wait {
                        self.wait_for_rows(outbox, seen).await;
                    }
                }
                Ok(None) => {
                    self.relay.state.borrow_mut().renew = true;
                    self.relay.process.pause(&mut wait, 500).await;
                }
                Err(_) => self.relay.process.pause(&mut wait, 500).await,
            }
        }
    }

    /// The rest of a long poll.
    async fn wait_for_rows(&self, outbox: usize, seen: u64) {
        let process = &self.relay.process;
        let until = process.now() + 5_000;
        process.world.borrow_mut().watch(Watched::Outbox(outbox), process.key());
        process.wake_after(5_000);
        let world = Rc::clone(&process.world);
        let ready = move || {
            let world = world.borrow();
            world.outboxes[outbox].version != seen || world.engine.now >= until
        };
        process.until(ready).await;
    }

    async fn mark(self) {
        let mut wait = 50;
        loop {
            let session = Rc::clone(&self.session);
            self.relay.process.until(move || session.borrow().unmarked() > 0).await;
            let marked = self.mark_once().await;
            if self.over.get() {
                return;
            }
            if marked {
                wait = 50;
                self.relay.state.borrow_mut().published = true;
            } else {
                self.relay.process.pause(&mut wait, 500).await;
            }
        }
    }

    async fn mark_once(&self) -> bool {
        let rows = self.session.borrow().to_mark(ROWS_MAX as usize);
        let outbox = self.relay.outbox;
        let marking = {
            let rows = rows.clone();
            self.relay.process.ask(self.relay.server(), move |world| world.outboxes[outbox].mark(&rows))
        };
        let answered = marking.await.is_ok();
        if answered && !self.over.get() {
            self.session.borrow_mut().marked(&rows);
        }
        answered
    }

    fn look(&self, course: &Course, outcome: &mut Outcome) {
        let mut state = self.relay.state.borrow_mut();
        let mut session = self.session.borrow_mut();
        if let Some(end) = state.held.ending(&self.tenure, session.resends()) {
            session.end(end);
        }
        if self.relay.process.stopping.get() {
            session.end(End::Shutdown);
        }
        if session.resends() || session.is_complete() {
            return;
        }
        if !course.waiting(&self.relay.url, &state.gaps).is_empty() {
            session.end(End::Resend);
        }
        if std::mem::take(&mut state.asked) {
            outcome.send_again = true;
            session.end(End::Resend);
        }
    }

    fn hand_over(&self, producer: u64) {
        let mut world = self.relay.process.world.borrow_mut();
        let mut session = self.session.borrow_mut();
        let (mut handed, key) = (Vec::new(), self.relay.process.key());
        while let Some(row) = session.next_unsent() {
            let record = Record::of_row(&self.relay.outbox_id, row.position, row.payload.clone(), self.number.get());
            let partition = partition_of(&row.payload, world.kafka.partitions.len());
            handed.push((partition, row.position, record));
            session.handed_over();
        }
        if world.has(Mutant::UnorderedDrain) {
            handed.reverse();
        }
        for (partition, position, record) in handed {
            world.kafka.hand_over(producer, partition, position, record);
            world.send_soon(producer, partition);
            world.engine.wake(1, key);
        }
    }

    fn take_reports(&self, reports: &Reports, outcome: &mut Outcome) {
        let skips = self.relay.has(Mutant::SkipOnFailure);
        for report in reports.borrow_mut().drain(..) {
            match report {
                Report::Acknowledged { position, partition, offset } => {
                    let place = Place { partition, offset, published_at_ms: 1 };
                    outcome.progressed |= self.session.borrow_mut().acknowledged(position, place).is_some();
                }
                Report::Failed { position } if skips => {
                    let place = Place { partition: 0, offset: 0, published_at_ms: 1 };
                    self.session.borrow_mut().acknowledged(position, place);
                    self.session.borrow_mut().end(End::Failed);
                }
                Report::Failed { position } => self.session.borrow_mut().failed(position),
            }
        }
    }

    async fn await_reports(&self, reports: &Reports, outcome: &mut Outcome) {
        let process = &self.relay.process;
        let (mut end, mut since) = (self.session.borrow().ending(), process.now());
        while self.session.borrow().outstanding() > 0 {
            if self.session.borrow().ending() != end {
                (end, since) = (self.session.borrow().ending(), process.now());
            }
            let patience = end.and_then(|end| end.patience(std::time::Duration::from_secs(2)));
            if let Some(patience) = patience {
                let until = since + u64::try_from(patience.as_millis()).unwrap();
                if process.now() >= until {
                    return;
                }
                process.wake_after(until - process.now());
            }
            process.turn().await;
            self.take_reports(reports, outcome);
            if process.stopping.get() {
                self.session.borrow_mut().end(End::Shutdown);
            }
            let resends = self.session.borrow().resends();
            if let Some(end) = self.relay.state.borrow().held.ending(&self.tenure, resends) {
                self.session.borrow_mut().end(end);
            }
        }
    }

    async fn mark_the_rest(&self) {
        self.over.set(false);
        while self.session.borrow().unmarked() > 0 {
            if !self.mark_once().await {
                return;
            }
        }
        self.relay.state.borrow_mut().published = true;
    }
}
