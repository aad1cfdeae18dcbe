//! One session at work: does what [`Session`] says and tells it what happened. One task produces, so that rows reach
//! Kafka's client in position order.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wiber_model::outbox::{Changed, PublishedRow, ROWS_MAX, ReadAnswer, WAIT_MS_BUSY, Which};

use super::course::Course;
use super::drain::Drain;
use super::gather::wait_after;
use super::producer::{HandOver, Producer, QUEUE_FULL_WAIT, Report};
use super::record::{self, Outgoing};
use super::session::{End, Reach, Read, Session, Unsent};
use super::source;
use super::tenure::Tenure;
use crate::backoff::Backoff;
use crate::kafka::{self, Outage};
use crate::report::Chain;
use crate::telemetry::{Hop, Operation, Stage};

/// Time between two looks at the producer.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long Kafka's client may report nothing while rows are in its hands and every partition can be written to: beyond
/// the time-out of a request, and beyond what a full batch takes on a slow link.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The same for a client that met a partition without a leader: it may wait for ever (see
/// [`is_leaderless`](crate::kafka::is_leaderless)).
const SILENCE_LEADERLESS_MAX: Duration = Duration::from_secs(12);
/// How long a read waits for the first row.
const READ_WAIT: Duration = Duration::from_secs(5);
/// The same while messages come: the outbox looks for them more often then.
const READ_WAIT_BUSY: Duration = Duration::from_millis(WAIT_MS_BUSY as u64);
/// After how long without a row none is expected soon.
const RESTS_AFTER: Duration = Duration::from_secs(10);

/// How a session ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// `None` when everything that had to be sent again was.
    pub(super) end: Option<End>,
    /// Whether rows were found forgotten meanwhile.
    pub(super) send_again: bool,
    /// Whether Kafka took anything.
    pub(super) progressed: bool,
    /// Its number, if it sent all unsettled rows again.
    pub(super) number: Option<i64>,
    /// How far it came.
    pub(super) reach: Reach,
}

/// A session and what it works with.
pub(super) struct Run<'a> {
    pub(super) drain: &'a mut Drain,
    pub(super) session: Session<Outgoing>,
    /// Gone once it is closed.
    pub(super) producer: Option<Producer>,
    pub(super) reports: UnboundedReceiver<Report>,
    pub(super) tenure: Tenure,
    /// Its number, if it sends all unsettled rows again; known with the first rows.
    number: Option<i64>,
    course: &'a Course,
    queue_is_full: bool,
    /// Whether a report came since the last look at the producer.
    heard: bool,
    silence: Outage,
    /// How long the next read waits for more rows, and until when the next mark does.
    read_wait: Duration,
    last_rows: Option<Instant>,
    mark_due: tokio::time::Instant,
    read_backoff: Backoff,
    mark_backoff: Backoff,
    outcome: Outcome,
}

type Reading = Option<BoxFuture<'static, Result<ReadAnswer, source::Error>>>;
type Marking = Option<BoxFuture<'static, (Vec<PublishedRow>, Result<Changed, source::Error>)>>;

impl<'a> Run<'a> {
    /// A session of the outbox whose lease is held.
    pub(super) fn new(
        drain: &'a mut Drain,
        tenure: Tenure,
        which: Which,
        course: &'a Course,
    ) -> Result<Self, kafka::Error> {
        let (producer, reports) = Producer::new(drain.inspector.settings())?;
        tracing::info!(outbox = drain.source.url(), outbox_id = tenure.outbox_id, ?which, "session begins");
        Ok(Self {
            drain,
            session: Session::new(which),
            producer: Some(producer),
            reports,
            tenure,
            number: None,
            course,
            queue_is_full: false,
            heard: false,
            silence: Outage::default(),
            read_wait: Duration::ZERO,
            last_rows: None,
            mark_due: tokio::time::Instant::now(),
            read_backoff: source::backoff(),
            mark_backoff: source::backoff(),
            outcome: Outcome { end: None, send_again: false, progressed: false, number: None, reach: Reach::default() },
        })
    }

    /// Works until the session ends, then waits for what is in flight.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Outcome {
        self.work(shutdown).await;
        self.close(shutdown).await
    }

    async fn work(&mut self, shutdown: &CancellationToken) {
        let (mut reading, mut marking): (Reading, Marking) = (None, None);
        let mut look_due = interval(LOOK_INTERVAL);
        look_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.hand_over();
            if self.session.ending().is_some() || self.session.is_complete() {
                return;
            }
            if reading.is_none() {
                reading = self.session.want_read(ROWS_MAX).map(|read| self.read(read, self.read_wait));
            }
            let unmarked = if marking.is_none() { self.session.unmarked() } else { 0 };
            if unmarked >= ROWS_MAX as usize || unmarked > 0 && tokio::time::Instant::now() >= self.mark_due {
                marking = Some(self.mark(Duration::ZERO));
            }
            let resends = self.session.resends();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => self.session.end(End::Shutdown),
                Ok(()) = self.drain.held.changed() => self.look_at_lease(),
                Some(report) = self.reports.recv() => self.take_reports(report),
                _ = look_due.tick() => self.look_at_producer(),
                (rows, answer) = resolved(&mut marking) => marking = self.marked(rows, answer),
                answer = resolved(&mut reading) => reading = self.received(answer),
                Ok(()) = self.drain.gaps.changed(), if !resends => self.look_at_gaps(),
                () = self.drain.send_again.asked(), if !resends => {
                    self.outcome.send_again = true;
                    self.session.end(End::Resend);
                }
                () = tokio::time::sleep(QUEUE_FULL_WAIT), if self.queue_is_full => {}
                () = tokio::time::sleep_until(self.mark_due), if marking.is_none() && unmarked > 0 => {}
            }
        }
    }

    /// Hands over what was read, until the client's queue is full.
    fn hand_over(&mut self) {
        self.queue_is_full = false;
        let Some(producer) = &self.producer else { return };
        while let Some(row) = self.session.next_unsent() {
            match producer.hand_over(&self.tenure.outbox_id, self.number, row) {
                HandOver::Taken => self.session.handed_over(),
                HandOver::QueueFull => {
                    self.queue_is_full = true;
                    return;
                }
                HandOver::Refused(error) => {
                    let reason = format!("Kafka's client refuses row {}: {error}", row.position);
                    return self.fail(&reason);
                }
            }
        }
    }

    /// Ends the session because Kafka did not take a row; the first reason is worth telling, the rest follows from it.
    fn fail(&mut self, reason: &str) {
        if self.session.ending() != Some(End::Failed) {
            tracing::warn!(outbox = self.drain.source.url(), "session failed: {reason}");
            self.drain.board.set_note(
                note(self.drain.source.url()),
                format!("rows of outbox {} do not reach Kafka: {reason}", self.drain.source.url()),
            );
        }
        self.session.end(End::Failed);
    }

    fn read(&self, read: Read, delay: Duration) -> BoxFuture<'static, Result<ReadAnswer, source::Error>> {
        let source = self.drain.source.clone();
        let is_busy = self.last_rows.is_some_and(|last| last.elapsed() < RESTS_AFTER);
        let wait = match read.may_wait {
            true if is_busy => READ_WAIT_BUSY,
            true => READ_WAIT,
            false => Duration::ZERO,
        };
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            source.read(read.which, read.after, read.limit, wait).await
        })
    }

    fn mark(&self, delay: Duration) -> BoxFuture<'static, (Vec<PublishedRow>, Result<Changed, source::Error>)> {
        let source = self.drain.source.clone();
        let rows = self.session.to_mark(ROWS_MAX as usize);
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            let answer = source.mark(rows.clone()).await;
            (rows, answer)
        })
    }

    pub(super) fn look_at_lease(&mut self) {
        let ending = self.drain.held.borrow_and_update().ending(&self.tenure, self.session.resends());
        if let Some(end) = ending {
            self.session.end(end);
        }
    }

    /// Ends a session whose producer is of no more use.
    pub(super) fn look_at_producer(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        let waits = self.session.outstanding() > 0 && !heard && self.drain.board.kafka_takes_records();
        let leaderless = self.producer.as_ref().is_some_and(Producer::met_a_leaderless_partition);
        let limit = if leaderless { SILENCE_LEADERLESS_MAX } else { SILENCE_MAX };
        if self.silence.note(!waits, Instant::now()) >= limit {
            self.fail("Kafka can take rows, but its client reports nothing");
        }
    }

    fn look_at_gaps(&mut self) {
        if self.tenure.number.is_none() {
            // As `Drain` does: nobody could say afterwards whether it was all.
            return;
        }
        let waiting = self.course.waiting(self.drain.source.url(), &self.drain.gaps.borrow_and_update());
        if !waiting.is_empty() {
            self.session.end(End::Resend);
        }
    }

    /// Takes one report and all that came with it: they arrive by the batch.
    pub(super) fn take_reports(&mut self, first: Report) {
        self.heard = true;
        let mut next = Some(first);
        while let Some(report) = next {
            self.take_report(report);
            next = self.reports.try_recv().ok();
        }
    }

    fn take_report(&mut self, report: Report) {
        match report {
            Report::Acknowledged { position, place, appended_at_ms } => {
                let Some(message_id) = self.session.acknowledged(position, place) else { return };
                self.drain.metrics.observe_hop_ms(Hop::AcceptToPublish, message_id.millis(), appended_at_ms);
                tracing::debug!(
                    position,
                    %message_id,
                    partition = place.partition,
                    offset = place.offset,
                    "published"
                );
                self.drain.metrics.messages_published_total.with_label_values(&[self.drain.source.url()]).inc();
                if !self.outcome.progressed {
                    self.outcome.progressed = true;
                    self.drain.board.clear_note(&note(self.drain.source.url()));
                }
            }
            Report::Failed { position, error } => {
                self.fail(&format!("row {position}: {error}"));
                self.session.failed(position);
            }
            Report::Fatal { error, reason } => self.fail(&format!("{error}: {reason}")),
        }
    }

    /// Takes the answer to a read; returns the next try after an error.
    fn received(&mut self, answer: Result<ReadAnswer, source::Error>) -> Reading {
        match answer {
            Ok(answer) if answer.outbox_id != self.tenure.outbox_id => self.session.end(End::Replaced),
            Ok(answer) => {
                self.read_backoff.reset();
                self.take_rows(answer);
            }
            Err(error) => {
                // The lease may only have run out while the outbox was slow: taking it again tells. Going on is sound in
                // any case, since what another relay marked in between is in Kafka's log already.
                if matches!(error, source::Error::LeaseHeld { .. }) {
                    self.drain.renew.notify_one();
                }
                self.note_outbox_error(&error);
                let delay = self.read_backoff.next_wait();
                return self.session.want_read(ROWS_MAX).map(|read| self.read(read, delay));
            }
        }
        None
    }

    fn take_rows(&mut self, answer: ReadAnswer) {
        self.read_wait = wait_after(answer.rows.len());
        if !answer.rows.is_empty() {
            self.last_rows = Some(Instant::now());
            self.drain.metrics.observe_batch(Stage::Read, answer.rows.len());
        }
        let last_position = answer.last_position;
        self.number = self.number.or(answer.run);
        let rows: Result<Vec<Unsent<Outgoing>>, record::Unreadable> =
            answer.rows.into_iter().map(record::prepare).collect();
        let taken = rows.map_err(|e| Chain(&e).to_string()).and_then(|rows| {
            let resent = rows.len() as u64;
            self.session.received(rows, last_position).map_err(|e| e.to_string()).map(|()| resent)
        });
        match taken {
            Ok(rows) if self.session.resends() => {
                self.drain.metrics.messages_resent_total.with_label_values(&[self.drain.source.url()]).inc_by(rows);
            }
            Ok(_) => {}
            // Neither passing over nor sending it is possible without breaking the order or losing it.
            Err(reason) => self.fail(&reason),
        }
    }

    /// Takes the answer to a mark; returns the next try after an error.
    fn marked(&mut self, rows: Vec<PublishedRow>, answer: Result<Changed, source::Error>) -> Marking {
        match answer {
            Ok(changed) if changed.outbox_id != self.tenure.outbox_id => self.session.end(End::Replaced),
            Ok(_) => {
                self.mark_backoff.reset();
                self.mark_due = tokio::time::Instant::now() + wait_after(rows.len());
                self.drain.metrics.observe_batch(Stage::Mark, rows.len());
                self.session.marked(&rows);
                self.drain.published.notify_one();
            }
            Err(error) => {
                self.note_outbox_error(&error);
                let delay = self.mark_backoff.next_wait();
                return Some(self.mark(delay));
            }
        }
        None
    }

    fn note_outbox_error(&self, error: &source::Error) {
        self.drain.metrics.count_retry(Operation::Outbox);
        tracing::debug!(outbox = self.drain.source.url(), error = %Chain(error), "the outbox did not answer");
    }

    pub(super) fn into_outcome(self) -> Outcome {
        Outcome { end: self.session.ending(), number: self.number, reach: self.session.reach(), ..self.outcome }
    }
}

/// The key of the note that rows of an outbox do not reach Kafka.
pub(super) fn note(url: &str) -> String {
    format!("produce-{url}")
}

/// The output of the future in a slot, which is then empty; never, while it is empty.
async fn resolved<F: Future + Unpin>(slot: &mut Option<F>) -> F::Output {
    let output = match slot {
        Some(future) => future.await,
        None => pending().await,
    };
    *slot = None;
    output
}
