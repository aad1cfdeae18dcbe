//! What Kafka and MongoDB say about the owned partitions, under simulation: `survey`.

use super::super::gap::{Facts, Verdict, View, decide};
use super::Group;
use crate::kafka::Watermarks;
use crate::simulation::{Lost, Mutant, Reply, Server, TOPIC};
use crate::store::{Gap, GapReason, NewGap, Topic};

/// One owned partition in question.
pub(super) struct Subject {
    pub(super) partition: i32,
    pub(super) generation: u64,
    pub(super) view: View,
}

/// What a survey found.
pub(super) struct Survey {
    pub(super) topic_id: u64,
    pub(super) findings: Vec<Finding>,
}

/// What follows for one partition.
pub(super) struct Finding {
    pub(super) partition: i32,
    pub(super) generation: u64,
    pub(super) committed: Option<i64>,
    pub(super) verdict: Verdict,
}

pub(super) async fn run(group: Group, subjects: Vec<Subject>) {
    let survey = survey(&group, subjects).await;
    group.shared.borrow_mut().surveyed = Some(survey);
}

async fn survey(group: &Group, subjects: Vec<Subject>) -> Result<Survey, Lost> {
    let topic_id = identify(group).await?;
    let gaps: Vec<Gap> =
        group.process.ask(Server::Mongo, |world| world.mongo.majority.gaps.values().cloned().collect()).await?;
    let committed = group.process.ask(Server::Kafka, |world| world.kafka.coordinator.committed.clone()).await?;
    let outboxes: Vec<String> = {
        let world = group.process.world.borrow();
        let all = if world.has(Mutant::PassGapsAtOnce) { &[] } else { world.outboxes.as_slice() };
        all.iter().map(|outbox| outbox.url.clone()).collect()
    };
    let mut findings = Vec::new();
    for Subject { partition, generation, view } in subjects {
        let Some(log) = watermarks(group, partition).await? else { continue };
        let committed = committed[usize::try_from(partition).unwrap()];
        let gap = gaps.iter().find(|gap| gap.partition == partition);
        let mut verdict = decide(view, &Facts { gap, committed, log, outboxes: &outboxes });
        if let (Verdict::Start { at, gap: None }, None) = (&mut verdict, committed)
            && group.process.world.borrow().has(Mutant::StartFromLatest)
        {
            *at = log.high;
        }
        record(group, topic_id, partition, &verdict).await?;
        findings.push(Finding { partition, generation, committed, verdict });
    }
    Ok(Survey { topic_id, findings })
}

/// `None` while the partition has no leader.
async fn watermarks(group: &Group, partition: i32) -> Result<Option<Watermarks>, Lost> {
    let asked = group.process.ask(Server::Kafka, move |world| {
        let partition = &world.kafka.partitions[usize::try_from(partition).unwrap()];
        (partition.down_until <= world.engine.now).then(|| partition.log())
    });
    asked.await
}

/// The topic's id; if it is another than recorded, every partition gets a gap before the new one is recorded.
async fn identify(group: &Group) -> Result<u64, Lost> {
    let (topic_id, partitions) =
        group.process.ask(Server::Kafka, |world| (world.kafka.topic_id, world.kafka.partitions.len())).await?;
    let recorded = group.process.ask(Server::Mongo, |world| world.mongo.majority.topic.clone()).await?;
    let partitions = i32::try_from(partitions).unwrap();
    if recorded.as_ref().is_some_and(|topic| topic.topic_id == topic_id.to_string()) {
        return Ok(topic_id);
    }
    if recorded.is_some() {
        for partition in 0..partitions {
            let log = watermarks(group, partition).await?.ok_or(Lost::Unknown)?;
            let verdict = Verdict::Open { reason: GapReason::Recreated, resume_at: log.low, records: 0 };
            record(group, topic_id, partition, &verdict).await?;
        }
    }
    let topic = Topic { topic_id: topic_id.to_string(), partitions };
    let set = group.process.ask_for(Server::Mongo, move |world| {
        let change = world.mongo.change(move |data| data.topic = Some(topic.clone()));
        Reply::Majority(change, ())
    });
    set.await.map(|()| topic_id)
}

async fn record(group: &Group, topic_id: u64, partition: i32, verdict: &Verdict) -> Result<(), Lost> {
    match verdict {
        Verdict::Open { reason, resume_at, records } => {
            let gap = NewGap {
                topic: TOPIC.to_owned(),
                partition,
                reason: *reason,
                topic_id: topic_id.to_string(),
                resume_at: *resume_at,
                records: *records,
                now_ms: i64::try_from(group.process.now()).unwrap(),
            };
            group.process.note(|| format!("gap in partition {partition}: {verdict:?}"));
            group.process.ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.open_gap(gap), ())).await
        }
        Verdict::Close(gap) => {
            let gap = gap.clone();
            group.process.ask_for(Server::Mongo, move |world| Reply::Majority(world.mongo.close_gap(&gap), ())).await
        }
        Verdict::Keep | Verdict::Start { .. } | Verdict::Wait(_) | Verdict::Resume { .. } => Ok(()),
    }
}
