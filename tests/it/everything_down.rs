//! Kafka and MongoDB both down, before anything of Wiber was started: every send is taken, and all arrive once both are
//! up, in order, without help.

use libtest_mimic::Trial;
use wiber_tests::send::{contents, id, seq};
use wiber_tests::stack::Plan;
use wiber_tests::{names, servers, tests, wait};

pub(crate) fn tests() -> Vec<Trial> {
    tests![a_thousand_sends_are_taken_and_all_arrive]
}

const CONVERSATIONS: usize = 20;
const EACH: usize = 50;

async fn a_thousand_sends_are_taken_and_all_arrive() {
    let kafka = servers::disturbable_kafka().await;
    let bootstrap = kafka.bootstrap_servers();
    kafka.stop().await;
    let plan = Plan::new("everything-down").kafka(&bootstrap);
    let stack = plan.start_without_mongo().await;
    let body = stack.readiness(503, |body| body["kafka"] == "disconnected" && body["mongodb"] == "disconnected").await;
    assert_eq!((&body["bridge"], &body["outbox"]), (&"connected".into(), &"accepting".into()), "{body}");

    let pairs: Vec<_> = (0..CONVERSATIONS).map(|_| names::pair()).collect();
    let sends = pairs.iter().map(|(alice, bob)| {
        let client = &stack.client;
        async move {
            let mut ids = Vec::new();
            for n in 0..EACH {
                ids.push(id(&client.send(alice, bob, &format!("text {n}")).await));
            }
            ids
        }
    });
    let sent: Vec<Vec<String>> = futures::future::join_all(sends).await;
    let state = stack.client.state(&sent[0][0]).await.expect(200).json();
    assert_eq!(state["state"], "accepted", "{state}");
    assert_eq!(stack.statistics().await.messages, i64::try_from(CONVERSATIONS * EACH).unwrap());

    stack.mongo_link.heal();
    kafka.start().await.expect("Kafka starts again");
    stack.ready().await;
    for ((alice, bob), ids) in pairs.iter().zip(&sent) {
        let read = stack.client.readable(alice, bob, EACH).await;
        assert_eq!(read.iter().map(id).collect::<Vec<_>>(), *ids);
        assert_eq!(contents(&read), (0..EACH).map(|n| format!("text {n}")).collect::<Vec<_>>());
        assert_eq!(read.iter().map(seq).collect::<Vec<_>>(), (1..=i64::try_from(EACH).unwrap()).collect::<Vec<_>>());
    }
    wait::until("an empty outbox", async || match stack.statistics().await.messages {
        0 => Ok(()),
        left => Err(format!("{left} rows")),
    })
    .await;
    assert_eq!(stack.store.messages().await.len(), CONVERSATIONS * EACH);
}
