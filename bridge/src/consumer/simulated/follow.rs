//! What the group does about a survey, under simulation: `group::follow`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::super::committing::Committing;
use super::super::gap::{Repeats, Verdict};
use super::super::offsets::Offsets;
use super::survey::{Finding, Survey};
use super::task::Task;
use super::{Group, Reading, Slot, State};
use crate::simulation::{Mutant, Reply, Server};
use crate::store::Gap;

const SURVEY_INTERVAL_WAITING: u64 = 500;

impl Group {
    pub(super) async fn follow_all(&self, survey: Survey, topic_id: &mut Option<u64>, survey_due: &mut u64) {
        let same = *topic_id.get_or_insert(survey.topic_id) == survey.topic_id;
        if !same || self.topic_id != survey.topic_id {
            self.shared.borrow_mut().failed = true;
            return;
        }
        let current = |finding: &Finding| {
            self.shared.borrow().slots.get(&finding.partition).is_some_and(|s| s.generation == finding.generation)
        };
        let findings: Vec<Finding> = survey.findings.into_iter().filter(current).collect();
        let mut stopped = Vec::new();
        for finding in &findings {
            self.compare(finding);
            match finding.verdict {
                Verdict::Open { .. } => *survey_due = self.process.now(),
                Verdict::Wait(_) => {}
                Verdict::Keep | Verdict::Start { .. } | Verdict::Resume { .. } | Verdict::Close(_) => continue,
            }
            stopped.push(finding.partition);
        }
        self.stop(&stopped).await;
        let (resumed, others): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|f| matches!(f.verdict, Verdict::Resume { .. }));
        for Finding { partition, verdict, .. } in others.into_iter().chain(resumed) {
            match verdict {
                Verdict::Close(_) => self.process.met("a gap was passed"),
                Verdict::Keep | Verdict::Open { .. } | Verdict::Wait(_) => {}
                Verdict::Start { at, gap } => self.start(partition, at, gap.as_ref()),
                Verdict::Resume { at, gap } => self.resume(partition, at, &gap).await,
            }
        }
        if self.shared.borrow().slots.values().any(|s| matches!(s.state, State::Idle { .. })) {
            *survey_due = (*survey_due).min(self.process.now() + SURVEY_INTERVAL_WAITING);
        }
    }

    fn compare(&self, finding: &Finding) {
        let mut shared = self.shared.borrow_mut();
        if let Some(reading) = shared.slots.get_mut(&finding.partition).and_then(Slot::reading_mut) {
            reading.committing.found(finding.committed);
        }
    }

    async fn resume(&self, partition: i32, at: i64, gap: &Gap) {
        if !self.commit_and_wait(vec![(partition, at)]).await {
            return;
        }
        let resumed = {
            let gap = gap.clone();
            self.process.ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.mark_resumed(&gap), ()))
        };
        if resumed.await.is_ok() {
            self.start(partition, at, Some(gap));
        }
    }

    fn start(&self, partition: i32, at: i64, gap: Option<&Gap>) {
        let generation = self.new_generation();
        let stores_repeats = self.process.world.borrow().has(Mutant::StoreRepeats);
        let repeats = gap.filter(|_| !stores_repeats).map(Repeats::of).unwrap_or_default();
        self.process.note(|| {
            let behind = gap.map(|gap| &gap.resent);
            format!("member {} reads partition {partition} from {at} {behind:?}", self.member)
        });
        let offsets = Rc::new(RefCell::new(Offsets::new(at)));
        let stop = Rc::new(Cell::new(false));
        let task = Task::new(self, partition, generation, repeats, Rc::clone(&offsets), Rc::clone(&stop));
        let task = self.process.spawn(task.run());
        let reading = Reading { offsets, committing: Committing::new(at), stop, task };
        self.shared.borrow_mut().slots.insert(partition, Slot { generation, state: State::Reading(reading) });
    }

    async fn stop(&self, partitions: &[i32]) {
        let mut read = Vec::new();
        for partition in partitions {
            let mut shared = self.shared.borrow_mut();
            let Some(slot) = shared.slots.get_mut(partition) else { continue };
            match slot.reading() {
                Some(_) => read.push(*partition),
                // How far an earlier task had come counts for nothing behind a gap.
                None => slot.state = State::Idle { reached: None, trouble: None },
            }
        }
        if read.is_empty() {
            return;
        }
        self.drain(&read).await;
        for partition in read {
            let slot = self.idle();
            self.shared.borrow_mut().slots.insert(partition, slot);
        }
    }
}
