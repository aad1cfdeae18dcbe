//! The sequence rule carried out on the simulated store: `writer`.

use std::collections::HashMap;

use wiber_model::record::Poison;

use super::super::dead_letter::Verdict;
use super::super::record::Record;
use super::super::sequence::{Batch, Fate, Place, Step};
use super::Stopped;
use super::task::Task;
use crate::simulation::{Lost, Mutant, Reply, Server, TOPIC};
use crate::store::{self, Hops, Known, KnownMessage, MessageDocument};

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    Doubtful,
    Nothing,
}

impl Task {
    pub(super) async fn write(
        &mut self,
        batch: &mut Batch,
        records: &[&Record],
        met: &mut Known,
    ) -> Result<(), Stopped> {
        let mut wait = 100;
        loop {
            match batch.next(&self.heads) {
                Step::Finished => return Ok(()),
                Step::ReadHeads(conversations) => {
                    let found = self.read_heads(&conversations).await?;
                    batch.heads_read(&found, &mut self.heads);
                }
                Step::ReadBack { ids, conversations } => {
                    let ids: Vec<_> = ids.into_iter().cloned().collect();
                    let known = self.read_ids(&ids).await?;
                    let found = self.read_heads(&conversations).await?;
                    let moved = batch.read_back(&known, found, &mut self.heads);
                    met.extend(known);
                    if !moved {
                        self.pause(&mut wait).await?;
                    }
                }
                Step::Write(places) => match self.insert(batch, &places, records).await {
                    Written::Done => {
                        wait = 100;
                        batch.written(&places, &mut self.heads);
                    }
                    Written::Doubtful if self.has(Mutant::BelieveInSilence) => batch.written(&places, &mut self.heads),
                    Written::Doubtful if self.has(Mutant::RetryUnderNewPlace) => {
                        for place in &places {
                            let conversation = batch.message(place.index).conversation();
                            self.heads.set(conversation.as_str(), place.seq);
                        }
                    }
                    Written::Doubtful if self.has(Mutant::DeadLetterOnTimeout) => {
                        let verdict = || Verdict { reason: Poison::Conflict, detail: "no answer in time".to_owned() };
                        let open = records.iter().zip(batch.fates()).filter(|(_, fate)| *fate == Fate::Open);
                        self.bury(open.map(|(record, _)| (*record, verdict())).collect()).await?;
                        return Ok(());
                    }
                    Written::Doubtful => {
                        batch.doubt(&mut self.heads);
                        if self.stop.get() {
                            return Err(Stopped);
                        }
                    }
                    Written::Nothing => self.pause(&mut wait).await?,
                },
            }
        }
    }

    async fn insert(&self, batch: &Batch, places: &[Place], records: &[&Record]) -> Written {
        let document = |place: &Place| {
            let record = records[place.index];
            let log = store::Place { topic: TOPIC.to_owned(), partition: self.partition, offset: record.offset };
            let hops = Hops { accepted_at: 1, published_at: 1, stored_at: 1 };
            MessageDocument::new(batch.message(place.index), place.seq, log, hops, record.trace.clone())
        };
        let mut documents: Vec<MessageDocument> = places.iter().map(document).collect();
        let answer = self.group.process.ask_for(Server::Mongo, move |world| {
            let count = documents.len();
            let interrupted = world.loss > 0.0 && world.engine.chance(0.05);
            if interrupted {
                documents.truncate(world.engine.index(count));
            }
            let lines: Vec<_> = documents.iter().map(|d| (d.conversation.clone(), d.seq, d.trace.sequence)).collect();
            let (number, met) = world.mongo.insert(documents);
            world.engine.note(|| format!("insert {lines:?}: met {met}, interrupted {interrupted}"));
            if met {
                world.engine.met.insert("a write met an index");
            }
            Reply::Majority(number, if met || interrupted { Written::Doubtful } else { Written::Done })
        });
        match answer.await {
            Ok(written) => written,
            Err(Lost::Unknown) => Written::Doubtful,
            Err(Lost::Refused) => Written::Nothing,
        }
    }

    async fn read_heads(&self, conversations: &[&str]) -> Result<HashMap<String, i64>, Stopped> {
        let conversations: Vec<String> = conversations.iter().map(|c| (*c).to_owned()).collect();
        self.until_ok(|| {
            let conversations = conversations.clone();
            self.group.process.ask(Server::Mongo, move |world| {
                let primary = world.has(Mutant::ReadWithoutMajority);
                let data = if primary { &world.mongo.primary } else { &world.mongo.majority };
                let heads = conversations.into_iter().map(|c| (data.head(&c), c));
                heads.filter(|(head, _)| *head > 0).map(|(head, c)| (c, head)).collect()
            })
        })
        .await
    }

    async fn read_ids(&self, ids: &[wiber_model::MessageId]) -> Result<Known, Stopped> {
        self.until_ok(|| {
            let ids = ids.to_vec();
            self.group.process.ask(Server::Mongo, move |world| {
                let primary = world.has(Mutant::ReadWithoutMajority);
                let data = if primary { &world.mongo.primary } else { &world.mongo.majority };
                let found = ids.iter().filter_map(|id| data.messages.get(id));
                found.map(|d| (d.id.clone(), known(d))).collect()
            })
        })
        .await
    }
}

fn known(document: &MessageDocument) -> KnownMessage {
    let origins = document.trace.origin().into_iter().chain(document.settles.iter().cloned()).collect();
    let stored = document.clone().into_stored();
    KnownMessage { message: stored.message, seq: stored.seq, origins }
}
