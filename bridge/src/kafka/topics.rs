//! What the two topics must be like. Pure: settings in, expectations and verdicts out.

use wiber_model::record::PARTITIONS;

use super::describe::Description;
use super::error::Error;
use crate::config;

/// A topic as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) replication_factor: i32,
    pub(super) settings: Vec<(&'static str, String)>,
}

/// The topic of messages and that of dead letters. Dead letters are kept until someone has looked at them, whatever
/// the retention of messages.
pub(super) fn wanted(kafka: &config::Kafka) -> [Wanted; 2] {
    let topic = |name: String, retention_ms: i64, retention_bytes: i64| Wanted {
        name,
        partitions: PARTITIONS,
        replication_factor: kafka.replication_factor,
        settings: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("min.insync.replicas", kafka.min_insync_replicas.to_string()),
            ("retention.ms", retention_ms.to_string()),
            ("retention.bytes", retention_bytes.to_string()),
        ],
    };
    [topic(kafka.topic.clone(), kafka.retention_ms, kafka.retention_bytes), topic(kafka.dead_letter_topic(), -1, -1)]
}

impl Wanted {
    /// Refuses another number of partitions.
    pub(super) fn check_partitions(&self, found: &Description) -> Result<(), Error> {
        let wanted = usize::try_from(self.partitions).unwrap_or(0);
        if found.partitions == wanted {
            return Ok(());
        }
        Err(Error::Partitions { topic: self.name.clone(), found: found.partitions, wanted })
    }

    /// Refuses settings that differ; `value` looks one up in the cluster's answer.
    pub(super) fn check_settings<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Result<(), Error> {
        for (name, wanted) in &self.settings {
            let found = value(name).unwrap_or("(none)");
            if found != wanted {
                return Err(Error::Setting {
                    topic: self.name.clone(),
                    name,
                    found: found.to_owned(),
                    wanted: wanted.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(retention_ms: i64) -> config::Kafka {
        config::Kafka {
            bootstrap_servers: "localhost:1".into(),
            topic: "t".into(),
            consumer_group: "g".into(),
            properties: BTreeMap::new(),
            replication_factor: 3,
            min_insync_replicas: 2,
            retention_ms,
            retention_bytes: -1,
            session_timeout_ms: 6_000,
        }
    }

    #[test]
    fn retention_is_shortened_for_messages_only() {
        let [messages, dead_letters] = wanted(&settings(1_000));
        assert!(messages.settings.contains(&("retention.ms", "1000".into())));
        assert_eq!(dead_letters.name, "t.dlq");
        assert!(dead_letters.settings.contains(&("retention.ms", "-1".into())));
        assert_eq!((messages.partitions, dead_letters.partitions), (12, 12));
    }

    #[test]
    fn a_wrong_topic_is_refused_with_the_procedure() {
        let [messages, _] = wanted(&settings(-1));
        let three = Description { id: None, partitions: 3, replicas_min: 1 };
        let refusal = messages.check_partitions(&three).unwrap_err();
        assert!(refusal.is_permanent() && refusal.to_string().contains("Procedure"), "{refusal}");
        let refusal = messages.check_settings(|name| (name == "cleanup.policy").then_some("compact")).unwrap_err();
        assert!(refusal.to_string().contains("--add-config cleanup.policy=delete"), "{refusal}");
        let right: BTreeMap<_, _> = messages.settings.iter().cloned().collect();
        messages.check_settings(|name| right.get(name).map(String::as_str)).unwrap();
    }
}
