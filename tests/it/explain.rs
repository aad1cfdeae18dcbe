//! Every query of the read paths uses an index: MongoDB's own profiler says what each one did.

use futures::TryStreamExt as _;
use libtest_mimic::Trial;
use mongodb::bson::{Document, doc};
use wiber_tests::send::path;
use wiber_tests::stack::{Plan, Stack};
use wiber_tests::{names, send, tests};

pub(crate) fn tests() -> Vec<Trial> {
    tests![no_query_scans_the_collection]
}

/// Enough that a scan examines many more documents than any page returns.
const OTHERS: usize = 300;

async fn no_query_scans_the_collection() {
    let stack = Plan::new("explain").start().await;
    let (alice, bob) = names::pair();
    for n in 0..OTHERS {
        let (carol, dave) = names::pair();
        stack.client.send(&carol, &dave, &format!("noise {n}")).await;
    }
    let mut last = String::new();
    for n in 0..20 {
        last = send::id(&stack.client.send(&alice, &bob, &format!("text {n}")).await);
    }
    stack.client.readable(&alice, &bob, 20).await;
    stack.client.until_state(&last, "stored").await;

    // From here on every operation is recorded: the reads below, and the writes and settlements of one more message.
    stack.store.database().run_command(doc! { "profile": 2 }).await.expect("MongoDB profiles");
    let conversation = path(&alice, &bob);
    let mut reads = vec![
        conversation.clone(),
        format!("{conversation}?limit=5&after=10"),
        format!("{conversation}?limit=5&before=10"),
        format!("{conversation}?limit=5&order=desc"),
        format!("{conversation}?limit=5&order=desc&before=10"),
        format!("/messages/user/{alice}?limit=5"),
        format!("/messages/user/{alice}?limit=5&before={last}"),
        "/messages/count".to_owned(),
        format!("/messages/count?user1={alice}"),
        format!("/messages/count?user1={alice}&user2={bob}"),
        format!("/messages/id/{last}"),
        "/messages/id/msg_1_e10628bb5f1c4d2a9b07".to_owned(),
    ];
    for read in reads.drain(..) {
        let answer = stack.client.get(&read).await;
        assert!([200, 404].contains(&answer.status), "{answer}");
    }
    let more = send::id(&stack.client.send(&bob, &alice, "one more").await);
    stack.client.until_state(&more, "stored").await;
    wiber_tests::wait::until("an empty outbox", async || match stack.statistics().await.messages {
        0 => Ok(()),
        left => Err(format!("{left} rows")),
    })
    .await;
    stack.store.database().run_command(doc! { "profile": 0 }).await.expect("MongoDB stops profiling");
    check(&stack, &profile(&stack).await);
}

async fn profile(stack: &Stack) -> Vec<Document> {
    let namespaces = ["messages", "dead_letters"].map(|name| format!("{}.{name}", stack.topic));
    let cursor = stack.store.collection("system.profile").find(doc! { "ns": { "$in": &namespaces[..] } }).await;
    cursor.expect("MongoDB answers").try_collect().await.expect("MongoDB answers")
}

fn check(stack: &Stack, operations: &[Document]) {
    let mut planned = 0;
    for operation in operations {
        // Inserts have no plan.
        let Ok(plan) = operation.get_str("planSummary") else { continue };
        planned += 1;
        assert!(!plan.contains("COLLSCAN"), "{} scans: {operation}", stack.topic);
        let number = |name: &str| {
            let value = operation.get(name);
            value.and_then(|value| value.as_i64().or_else(|| value.as_i32().map(i64::from))).unwrap_or_default()
        };
        assert!(number("docsExamined") <= 60, "more than a page was looked at: {operation}");
        assert_ne!(operation.get_bool("hasSortStage").ok(), Some(true), "sorted in memory: {operation}");
    }
    assert!(planned >= 10, "only {planned} of {} operations have a plan", operations.len());
}
