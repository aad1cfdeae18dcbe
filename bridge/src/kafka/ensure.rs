//! Creates and verifies the two topics.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio_util::sync::CancellationToken;

use super::context::LogContext;
use super::error::Error;
use super::inspector::Inspector;
use super::topics::{Wanted, wanted};
use crate::backoff::Backoff;
use crate::report::Chain;
use crate::status::Board;
use crate::telemetry::{Metrics, Operation};

/// How long one administrative call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const NOTE: &str = "topics";

/// Creates the topics where they are missing and verifies them, again and again until Kafka is there; a note says what
/// is waited for. Returns `false` if shutdown came first.
///
/// # Errors
/// If a topic exists that must not be used as it is; the message holds the procedure.
pub async fn ensure_ready(
    inspector: &Inspector,
    board: &Board,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> Result<bool, Error> {
    let mut backoff = Backoff::for_servers();
    loop {
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(false),
            outcome = ensure(inspector, board) => outcome,
        };
        match outcome {
            Ok(()) => {
                board.clear_note(NOTE);
                return Ok(true);
            }
            Err(error) if error.is_permanent() => {
                board.set_note(NOTE, error.to_string());
                return Err(error);
            }
            Err(error) => {
                metrics.count_retry(Operation::Topics);
                tracing::debug!(error = %Chain(&error), "waiting for Kafka to create and verify the topics");
                if !matches!(error, Error::NotVisible { .. }) {
                    board.set_note(NOTE, "topics: waiting for Kafka to create and verify them");
                }
            }
        }
        if !backoff.wait(shutdown).await {
            return Ok(false);
        }
    }
}

async fn ensure(inspector: &Inspector, board: &Board) -> Result<(), Error> {
    for topic in wanted(inspector.settings()) {
        let found = match inspector.describe(&topic.name).await? {
            Some(found) => found,
            None => {
                create(inspector, &topic).await?;
                inspector.describe(&topic.name).await?.ok_or_else(|| Error::NotVisible { topic: topic.name.clone() })?
            }
        };
        topic.check_partitions(&found)?;
        let settings = settings_of(inspector, &topic).await?;
        topic.check_settings(|name| settings.get(name).and_then(|entry| entry.value.as_deref()))?;
        note_missing_replicas(board, &topic, found.replicas_min);
    }
    Ok(())
}

async fn create(inspector: &Inspector, topic: &Wanted) -> Result<(), Error> {
    let call = |source| Error::Call { step: "creation", topic: topic.name.clone(), source: Box::new(source) };
    let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replication_factor));
    for (name, value) in &topic.settings {
        new = new.set(name, value);
    }
    let results = admin(inspector)?.create_topics([&new], &options()).await.map_err(call)?;
    match results.into_iter().next() {
        // Another bridge was faster.
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
            tracing::info!(topic = topic.name, "topic created");
            Ok(())
        }
        Some(Err((_, code))) => Err(call(KafkaError::AdminOp(code))),
        None => Err(call(KafkaError::NoMessageReceived)),
    }
}

async fn settings_of(inspector: &Inspector, topic: &Wanted) -> Result<ConfigResource, Error> {
    let call = |source| Error::Call { step: "settings", topic: topic.name.clone(), source: Box::new(source) };
    let asked = [ResourceSpecifier::Topic(&topic.name)];
    let answers = admin(inspector)?.describe_configs(&asked, &options()).await.map_err(call)?;
    match answers.into_iter().next() {
        Some(Ok(settings)) => known(settings, topic),
        Some(Err(code)) => Err(call(KafkaError::AdminOp(code))),
        None => Err(call(KafkaError::NoMessageReceived)),
    }
}

/// A broker lists every setting of a topic, and none at all of one that was just made and that it has not heard of yet.
fn known(settings: ConfigResource, topic: &Wanted) -> Result<ConfigResource, Error> {
    if settings.entries.is_empty() { Err(Error::NotVisible { topic: topic.name.clone() }) } else { Ok(settings) }
}

/// Fewer copies than asked for lose nothing by themselves, and only an operator can move partitions: a note, no refusal.
fn note_missing_replicas(board: &Board, topic: &Wanted, found: usize) {
    let key = format!("replicas-{}", topic.name);
    let wanted = usize::try_from(topic.replication_factor).unwrap_or(0);
    if found < wanted {
        board.set_note(key, format!("topic {} has {found} of {wanted} wanted copies of a partition", topic.name));
    } else {
        board.clear_note(&key);
    }
}

// Made for a call and dropped: nothing polls an idle admin client's log queue, which would grow.
fn admin(inspector: &Inspector) -> Result<AdminClient<LogContext>, Error> {
    super::client_config(inspector.settings()).create_with_context(LogContext).map_err(Error::client)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::OwnedResourceSpecifier;

    use super::*;

    /// Seen with three brokers: the one that was asked lagged behind the one that had made the topic.
    #[test]
    fn a_topic_without_any_setting_is_waited_for() {
        let topic = Wanted { name: "t".into(), partitions: 12, replication_factor: 3, settings: Vec::new() };
        let settings = ConfigResource { specifier: OwnedResourceSpecifier::Topic("t".into()), entries: Vec::new() };
        let error = known(settings, &topic).unwrap_err();
        assert!(matches!(&error, Error::NotVisible { topic } if topic == "t") && !error.is_permanent());
    }
}
