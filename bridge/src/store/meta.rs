//! What must survive a restart beside the messages: the topic's identity, the outboxes' ids, and open gaps of the log.

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, deserialize_from_bson, deserialize_from_document, doc, serialize_to_document};
use mongodb::options::Hint;
use serde::{Deserialize, Deserializer, Serialize};

use super::error::{is_duplicate, within};
use super::prepare::by_id;
use super::{Error, META, Store, limits};

/// A topic as it was when messages were first read from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topic {
    /// Kafka's id of it, which a topic of the same name made later does not have.
    pub topic_id: String,
    /// Its partitions.
    pub partitions: i32,
}

/// Why records are missing from a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The log begins above what was read.
    LogStart,
    /// The topic was made anew, or the log ends below what was read.
    Recreated,
    /// Records are there, but none can be read.
    Stalled,
}

impl GapReason {
    /// A stable name for notes, logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::LogStart => "log-start",
            Self::Recreated => "recreated",
            Self::Stalled => "stalled",
        }
    }
}

/// An open gap: its partition waits until every outbox has sent again what is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Tells successive gaps of one partition apart.
    pub epoch: i64,
    /// Why.
    pub reason: GapReason,
    /// Kafka's id of the topic in which the gap is.
    pub topic_id: String,
    /// Where reading goes on.
    pub resume_at: i64,
    /// How many records are missing, as far as that is known.
    pub records: i64,
    /// Whether reading has gone on at `resume_at`, so that the committed offset counts again.
    #[serde(default)]
    pub resumed: bool,
    /// The outboxes that have sent again.
    #[serde(default)]
    pub resent: Vec<Resent>,
}

#[cfg(test)]
impl Gap {
    /// One that was passed, with what was sent again for it.
    pub(crate) fn passed(partition: i32, resent: Vec<Resent>) -> Self {
        Self {
            topic: "t".into(),
            partition,
            epoch: 1,
            reason: GapReason::LogStart,
            topic_id: "x".into(),
            resume_at: 0,
            records: 0,
            resumed: true,
            resent,
        }
    }
}

/// An outbox has sent again all that was not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resent {
    /// The outbox's address.
    pub url: String,
    /// Its id.
    pub outbox_id: String,
    /// The end of the gap's partition when it began: what this outbox sent below is repeated above, in order.
    pub from_offset: i64,
    /// What it sent; `None` if a version wrote this that did not mark records, or told of them in another way.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_run")]
    pub run: Option<SentRun>,
}

/// A run of records, in which an outbox sent again all rows up to one that were not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRun {
    /// Its number, by which its records are known: later runs of the outbox have higher ones.
    pub number: i64,
    /// The last row.
    pub last_position: i64,
    /// The offset behind its last record in the gap's partition.
    pub end_offset: i64,
}

/// One gap that cannot be read would keep all others from being read too.
fn readable_run<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SentRun>, D::Error> {
    let run = Bson::deserialize(deserializer)?;
    Ok(deserialize_from_bson(run).ok())
}

/// A gap that was just found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGap {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why.
    pub reason: GapReason,
    /// Kafka's id of the topic.
    pub topic_id: String,
    /// Where reading goes on.
    pub resume_at: i64,
    /// How many records are missing, as far as that is known.
    pub records: i64,
    /// Unix milliseconds, which become the epoch.
    pub now_ms: i64,
}

impl Store {
    /// The id that the outbox at this address had, if it is known.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn outbox_id(&self, url: &str) -> Result<Option<String>, Error> {
        let found = self.meta_get(&outbox_key(url)).await?;
        found.map(|d| d.get_str("outboxId").map(str::to_owned).map_err(shape)).transpose()
    }

    /// Records the id of the outbox at this address.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn set_outbox_id(&self, url: &str, outbox_id: &str) -> Result<(), Error> {
        self.meta_put(doc! { "_id": outbox_key(url) }, doc! { "outboxId": outbox_id }).await.map(drop)
    }

    /// The topic as it was recorded, if it was.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn topic(&self, name: &str) -> Result<Option<Topic>, Error> {
        let found = self.meta_get(&topic_key(name)).await?;
        found.map(|d| deserialize_from_document(d).map_err(shape)).transpose()
    }

    /// Records the topic.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn set_topic(&self, name: &str, topic: &Topic) -> Result<(), Error> {
        let fields = serialize_to_document(topic).map_err(shape)?;
        self.meta_put(doc! { "_id": topic_key(name) }, fields).await.map(drop)
    }

    /// The open gaps of a topic.
    ///
    /// # Errors
    /// If no answer comes in time.
    pub async fn open_gaps(&self, topic: &str) -> Result<Vec<Gap>, Error> {
        // `0` follows `/`: this range is every key below the topic.
        let range = doc! { "_id": { "$gte": format!("gap/{topic}/"), "$lt": format!("gap/{topic}0") } };
        let typed = self.meta.clone_with_type::<Gap>();
        let read = async {
            typed.find(range).hint(Hint::Keys(by_id())).max_time(limits::LOOKUP_SERVER).await?.try_collect().await
        };
        within("reading open gaps", limits::LOOKUP, read).await
    }

    /// Opens a gap, unless one is open there already that still waits in the same topic.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn open_gap(&self, new: NewGap) -> Result<(), Error> {
        let id = gap_key(&new.topic, new.partition);
        let replaceable = doc! { "_id": id, "$or": [{ "topicId": { "$ne": &new.topic_id } }, { "resumed": true }] };
        let gap = Gap {
            topic: new.topic,
            partition: new.partition,
            epoch: new.now_ms,
            reason: new.reason,
            topic_id: new.topic_id,
            resume_at: new.resume_at,
            records: new.records,
            resumed: false,
            resent: Vec::new(),
        };
        match self.meta_put(replaceable, serialize_to_document(&gap).map_err(shape)?).await {
            // The upsert met the gap that waits already.
            Err(Error::Failed { source, .. }) if is_duplicate(&source) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Adds an outbox to those that have sent again; a later gap of the partition is not touched.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn mark_resent(&self, gap: &Gap, resent: &Resent) -> Result<(), Error> {
        let entry = serialize_to_document(resent).map_err(shape)?;
        let mut open = same_gap(gap);
        open.insert("resent.url", doc! { "$ne": &resent.url });
        self.gap_update(open, doc! { "$push": { "resent": entry } }).await
    }

    /// Records that reading has gone on at the gap's `resume_at`.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn mark_resumed(&self, gap: &Gap) -> Result<(), Error> {
        self.gap_update(same_gap(gap), doc! { "$set": { "resumed": true } }).await
    }

    /// Closes a gap; a later gap of the partition is not touched.
    ///
    /// # Errors
    /// If no answer comes in time; the caller repeats it.
    pub async fn close_gap(&self, gap: &Gap) -> Result<(), Error> {
        let delete = self.meta.delete_one(same_gap(gap));
        within("closing a gap", self.write_limit, async { delete.await }).await.map(drop)
    }

    async fn gap_update(&self, filter: Document, update: Document) -> Result<(), Error> {
        let write = self.meta.update_one(filter, update);
        within("updating a gap", self.write_limit, async { write.await }).await.map(drop)
    }

    async fn meta_get(&self, id: &str) -> Result<Option<Document>, Error> {
        let find = self.meta.find_one(doc! { "_id": id }).max_time(limits::LOOKUP_SERVER);
        within("reading meta", limits::LOOKUP, async { find.await }).await
    }

    async fn meta_put(&self, filter: Document, fields: Document) -> Result<u64, Error> {
        let write = self.meta.update_one(filter, doc! { "$set": fields }).upsert(true);
        within("writing meta", self.write_limit, async { write.await }).await.map(|r| r.modified_count)
    }
}

fn outbox_key(url: &str) -> String {
    format!("outbox/{url}")
}

fn topic_key(name: &str) -> String {
    format!("topic/{name}")
}

fn gap_key(topic: &str, partition: i32) -> String {
    format!("gap/{topic}/{partition}")
}

fn same_gap(gap: &Gap) -> Document {
    doc! { "_id": gap_key(&gap.topic, gap.partition), "epoch": gap.epoch }
}

fn shape(error: mongodb::bson::error::Error) -> Error {
    Error::Shape { collection: META, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_read_whatever_is_told_of_runs() {
        let run = SentRun { number: 3, last_position: 9, end_offset: 20 };
        let resent = Resent { url: "u".into(), outbox_id: "o".into(), from_offset: 5, run: Some(run) };
        let gap = Gap::passed(1, vec![resent.clone()]);
        let mut written = serialize_to_document(&gap).unwrap();
        assert_eq!(deserialize_from_document::<Gap>(written.clone()).unwrap(), gap);
        for other in [doc! { "position": 9_i64 }.into(), Bson::Int64(4), Bson::Null] {
            let told = written.get_array_mut("resent").unwrap()[0].as_document_mut().unwrap();
            told.insert("run", other);
            let read: Gap = deserialize_from_document(written.clone()).unwrap();
            assert_eq!(read.resent, [Resent { run: None, ..resent.clone() }]);
        }
    }
}
