//! Every query: what it answers, and that its plan walks an index.

use mongodb::bson::{Bson, Document};
use tokio_util::sync::CancellationToken;
use wiber_bridge::api::{Parts, serve};
use wiber_bridge::config::Secret;
use wiber_bridge::status::Board;
use wiber_bridge::store::{Hops, MessageDocument, Outcome, Place, Question, Store, Trace};
use wiber_bridge::telemetry::Metrics;
use wiber_model::query::{ConversationParams, CountParams, MessageState, Order, TimelineParams};
use wiber_model::{Message, MessageId};

use crate::harness::{messages, shown, store, unprepared, until};

async fn fill(store: &Store, messages: &[Message]) {
    for (seq, message) in (1..).zip(messages) {
        let log = Place { topic: "t".into(), partition: 0, offset: seq };
        let hops = Hops { accepted_at: message.timestamp, published_at: 2, stored_at: 3 };
        let document = MessageDocument::new(message, seq, log, hops, Trace::default());
        assert!(matches!(store.insert(&[document]).await, Outcome::Done));
    }
}

fn conversation(limit: u32, after: Option<i64>, before: Option<i64>, order: Order) -> ConversationParams {
    ConversationParams { user1: "bob".into(), user2: "alice".into(), limit, after, before, order }
}

#[tokio::test]
async fn a_conversation_is_paged_in_both_orders() {
    let store = store("paging").await;
    fill(&store, &messages("alice", "bob", 5)).await;
    let check = async |params: ConversationParams, seqs: &[i64], more: bool| {
        let page = store.conversation(&params).await.unwrap();
        let last = if params.before.is_some() || params.order == Order::Desc { seqs.iter().min() } else { seqs.last() };
        assert_eq!(shown(&page).iter().map(|m| m.seq).collect::<Vec<_>>(), seqs, "{params:?}");
        assert_eq!(page.next, last.filter(|_| more).map(ToString::to_string), "{params:?}");
    };
    check(conversation(2, None, None, Order::Asc), &[1, 2], true).await;
    check(conversation(2, Some(2), None, Order::Asc), &[3, 4], true).await;
    check(conversation(2, Some(3), None, Order::Asc), &[4, 5], false).await;
    check(conversation(2, Some(5), None, Order::Asc), &[], false).await;
    check(conversation(2, None, Some(4), Order::Asc), &[2, 3], true).await;
    check(conversation(2, None, Some(3), Order::Asc), &[1, 2], false).await;
    check(conversation(2, None, Some(1), Order::Asc), &[], false).await;
    check(conversation(2, None, None, Order::Desc), &[5, 4], true).await;
    check(conversation(2, None, Some(4), Order::Desc), &[3, 2], true).await;
    check(conversation(2, None, Some(3), Order::Desc), &[2, 1], false).await;
    check(conversation(5, None, None, Order::Desc), &[5, 4, 3, 2, 1], false).await;
}

#[tokio::test]
async fn a_timeline_is_newest_first_by_time_and_id() {
    let store = store("timeline").await;
    // Equal times, so that ids decide.
    let mut sent: Vec<Message> = messages("alice", "bob", 6);
    for (n, message) in (0_u8..).zip(&mut sent) {
        let id = MessageId::new(1_000 + i64::from(n / 3), [n; 10]);
        (message.timestamp, message.message_id) = (id.millis(), id);
    }
    fill(&store, &sent).await;
    let read = async |limit, before: Option<&str>| {
        let params = TimelineParams { user: "bob".into(), limit, before: before.map(str::to_owned) };
        let page = store.timeline(&params).await.unwrap();
        (shown(&page).into_iter().map(|m| m.message.message_id).collect::<Vec<_>>(), page.next)
    };
    let newest_first: Vec<MessageId> = sent.iter().rev().map(|m| m.message_id.clone()).collect();
    assert_eq!(read(100, None).await, (newest_first.clone(), None));
    let mut paged = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let (page, next) = read(2, before.as_deref()).await;
        paged.extend(page);
        before = next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(paged, newest_first);
    // An id between two that exist need not exist itself.
    let between = MessageId::new(1_000, [1; 10]).as_str().replace("01010101010101010101", "0101010101010101010f");
    assert_eq!(read(100, Some(&between)).await.0, newest_first[4..]);
}

#[tokio::test]
async fn counts_and_single_messages() {
    let store = store("counts").await;
    let with_bob = messages("alice", "bob", 3);
    fill(&store, &with_bob).await;
    fill(&store, &messages("alice", "alice", 2)).await;
    let count = async |user1: Option<&str>, user2: Option<&str>| {
        let params = CountParams { user1: user1.map(str::to_owned), user2: user2.map(str::to_owned) };
        store.count(&params).await.unwrap()
    };
    assert_eq!(count(None, None).await, 5);
    assert_eq!(count(Some("alice"), None).await, 5);
    assert_eq!(count(Some("bob"), None).await, 3);
    assert_eq!(count(Some("bob"), Some("alice")).await, 3);
    assert_eq!(count(Some("alice"), Some("alice")).await, 2);
    assert_eq!(count(Some("nobody"), None).await, 0);
    assert_eq!(count(Some("nobody"), Some("bob")).await, 0);
    let state = store.message(with_bob[1].message_id.as_str()).await.unwrap();
    let Some(MessageState::Stored { message, hops, .. }) = state else { panic!("{state:?}") };
    assert_eq!((message.message, message.seq, hops.offset), (with_bob[1].clone(), 2, 2));
    assert!(store.message("msg_1_00000000000000000000").await.unwrap().is_none());
    assert!(store.message("no id").await.unwrap().is_none());
}

fn stages(value: &Bson, found: &mut Vec<String>) {
    match value {
        Bson::Document(document) => {
            for (key, value) in document {
                match value {
                    Bson::String(stage) if key == "stage" => found.push(stage.clone()),
                    _ if key == "rejectedPlans" => {}
                    _ => stages(value, found),
                }
            }
        }
        Bson::Array(values) => values.iter().for_each(|v| stages(v, found)),
        _ => {}
    }
}

fn check_plan(question: &Question<'_>, plan: Document) {
    const INDEXED: &[&str] = &["IXSCAN", "COUNT_SCAN", "DISTINCT_SCAN", "IDHACK", "EXPRESS_IXSCAN"];
    let mut found = Vec::new();
    stages(&Bson::Document(plan), &mut found);
    assert!(found.iter().any(|s| INDEXED.contains(&s.as_str())), "{question:?}: {found:?}");
    assert!(!found.iter().any(|s| s == "COLLSCAN" || s.contains("SORT")), "{question:?}: {found:?}");
    if matches!(question, Question::Heads(_)) {
        assert!(found.contains(&"DISTINCT_SCAN".to_owned()), "{found:?}");
    }
    if matches!(question, Question::Count(_)) {
        assert!(!found.contains(&"FETCH".to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn every_query_uses_an_index() {
    let store = store("plans").await;
    let sent = messages("alice", "bob", 50);
    fill(&store, &sent).await;
    let before = sent[20].message_id.as_str();
    let one = CountParams { user1: Some("alice".into()), user2: None };
    let both = CountParams { user1: Some("alice".into()), user2: Some("bob".into()) };
    let timeline =
        |before: Option<&str>| TimelineParams { user: "alice".into(), limit: 10, before: before.map(Into::into) };
    let pages = [
        conversation(10, None, None, Order::Asc),
        conversation(10, Some(5), None, Order::Asc),
        conversation(10, None, Some(5), Order::Asc),
        conversation(10, None, None, Order::Desc),
        conversation(10, None, Some(5), Order::Desc),
    ];
    let timelines = [timeline(None), timeline(Some(before))];
    let mut questions: Vec<Question<'_>> = pages.iter().map(Question::Conversation).collect();
    questions.extend(timelines.iter().map(Question::Timeline));
    let (keys, ids) = ([r#"["alice","bob"]"#, r#"["x","y"]"#], [before, "x"]);
    questions.extend([
        Question::Count(&one),
        Question::Count(&both),
        Question::Message(before),
        Question::Heads(&keys),
        Question::Ids(&ids),
    ]);
    for question in questions {
        check_plan(&question, store.explain(&question).await.unwrap());
    }
}

#[tokio::test]
async fn queries_need_no_other_role_to_have_made_their_indexes() {
    let store = unprepared("alone").await;
    fill(&store, &messages("alice", "bob", 2)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, query_token) = (CancellationToken::new(), Secret::new("secret"));
    let parts = Parts { store: Some(store), query_token, board: Board::new(), metrics: Metrics::new().unwrap() };
    let server = tokio::spawn(serve(listener, parts, shutdown.clone()));
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{address}/query/conversation?user1=alice&user2=bob&limit=10&order=asc");
    until("an answer", async || {
        let answer = client.get(&url).bearer_auth("secret").send().await.map_err(|e| e.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if status == 200 && text.contains("message 1") { Ok(()) } else { Err(format!("{status} {text}")) }
    })
    .await;
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
