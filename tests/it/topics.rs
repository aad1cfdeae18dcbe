//! The topics as the bridge makes them, and its refusal of one with another number of partitions.

use libtest_mimic::Trial;
use wiber_model::record::{DEAD_LETTER_SUFFIX, PARTITIONS};
use wiber_tests::host::Host;
use wiber_tests::site::Place;
use wiber_tests::stack::Plan;
use wiber_tests::{kafka, tests, wait};

pub(crate) fn tests() -> Vec<Trial> {
    tests![topics_are_made_as_the_contract_says, another_number_of_partitions_is_refused]
}

async fn topics_are_made_as_the_contract_says() {
    let stack = Place::Own(Host::Embedded).site().await.stack.expect("the harness started it");
    for topic in [stack.topic.clone(), format!("{}{DEAD_LETTER_SUFFIX}", stack.topic)] {
        let (partitions, settings) = kafka::describe(&stack.kafka, &topic).await;
        assert_eq!(partitions, PARTITIONS, "{topic}");
        let expected = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "1"),
            ("message.timestamp.type", "LogAppendTime"),
        ];
        for (name, value) in expected {
            assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name} of {topic}");
        }
    }
}

async fn another_number_of_partitions_is_refused() {
    let plan = Plan::new("partitions");
    kafka::create(&wiber_tests::servers::shared().await.kafka, plan.name(), 3).await;
    let stack = plan.start_expecting_refusal().await;
    let status =
        wait::until("the bridge's refusal", async || stack.bridge().ended().ok_or_else(|| stack.bridge().log_tail()))
            .await;
    assert_eq!(status.code(), Some(1), "a failed start");
    let log = stack.bridge().log();
    assert!(log.contains(&stack.topic) && log.contains("partitions"), "{log}");
}
