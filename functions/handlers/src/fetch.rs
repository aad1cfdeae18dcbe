//! Reading back: conversations, timelines, counts. All of it is asked of the bridge.

use serde::Serialize;
use wiber_model::query::{self, ConversationParams, Count, CountParams, Order, TimelineParams};
use wiber_model::{MessageId, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, TIMELINE_LIMIT_DEFAULT, Violation};

use crate::answer::{self, Answer, Reply};
use crate::bridge::{self, Bridge};
use crate::context::Entropy;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::route::{self, Call, Route};
use crate::settings::Settings;
use crate::{Head, SettingsError, link};

/// Answers one request.
pub async fn respond(
    head: &Head,
    bridge: &impl Bridge,
    entropy: &impl Entropy,
    settings: &Result<Settings, SettingsError>,
) -> Answer {
    answer::respond(head, entropy, settings, async |_, _| decide(head, bridge).await).await
}

async fn decide(head: &Head, bridge: &impl Bridge) -> Result<Reply, Problem> {
    let route = Route::of(head)?;
    let allow = route.allow();
    let mine = matches!(
        route,
        Route::Conversation(..)
            | Route::ConversationByQuery
            | Route::Timeline(_)
            | Route::TimelineByQuery
            | Route::Count
    );
    if !mine {
        return Err(Problem::not_found("no such path; GET / lists what there is"));
    }
    if let Call::Options(reply) = route::method(head, allow)? {
        return Ok(reply);
    }
    let parameters = Parameters::parse(head.uri.query())?;
    match route {
        Route::Conversation(user1, user2) => conversation(head, bridge, parameters, Some((user1, user2))).await,
        Route::ConversationByQuery => conversation(head, bridge, parameters, None).await,
        Route::Timeline(user) => timeline(head, bridge, parameters, Some(user)).await,
        Route::TimelineByQuery => timeline(head, bridge, parameters, None).await,
        _ => count(bridge, parameters).await,
    }
}

/// The ways to say where a conversation's page begins; at most one may be given.
const STARTS: [&str; 4] = ["offset", "skip", "after", "before"];

async fn conversation(
    head: &Head,
    bridge: &impl Bridge,
    parameters: Parameters,
    in_path: Option<(String, String)>,
) -> Result<Reply, Problem> {
    let known = ["limit", "order", "offset", "skip", "after", "before", "user1", "user2"];
    let mut parameters = parameters.only(if in_path.is_some() { &known[..6] } else { &known });
    let (user1, user2) = match &in_path {
        Some((one, other)) => {
            check_in_path(&mut parameters, "user1", one);
            check_in_path(&mut parameters, "user2", other);
            (one.clone(), other.clone())
        }
        None => (parameters.user("user1"), parameters.user("user2")),
    };
    let limit = limit(&mut parameters, PAGE_LIMIT_DEFAULT);
    let order = order(&mut parameters);
    let starts: Vec<_> = STARTS.iter().filter(|s| parameters.text(s).is_some()).collect();
    if let [first, second, ..] = starts.as_slice() {
        let detail =
            format!("{first} and {second} exclude each other; give at most one of offset, skip, after and before");
        parameters.violate(Violation::new(second, "conflict", detail));
    }
    let before = parameters.number("before", 0, i64::MAX);
    let after = STARTS[..3].iter().filter_map(|name| parameters.number(name, 0, i64::MAX)).last();
    if order == Order::Desc && STARTS[..3].iter().any(|s| parameters.text(s).is_some()) {
        parameters.violate(Violation::new(
            "order",
            "conflict",
            "order=desc goes with before or alone, not with offset, skip or after",
        ));
    }
    parameters.finish()?;
    let asked = ConversationParams { user1, user2, limit, after, before, order };
    let page = bridge::page(bridge, query::CONVERSATION, &asked).await?;
    let link = page.next.map(|next| conversation_link(head, &asked, in_path.is_some(), &next));
    Ok(Reply::raw_json(page.body).with_link(link))
}

/// The next page in the same direction: further up from an ascending page, further down from any other.
fn conversation_link(head: &Head, asked: &ConversationParams, in_path: bool, next: &str) -> String {
    let limit = asked.limit.to_string();
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    if !in_path {
        parameters.extend([("user1", asked.user1.as_str()), ("user2", asked.user2.as_str())]);
    }
    parameters.push(("limit", &limit));
    let downwards = asked.before.is_some() || asked.order == Order::Desc;
    parameters.push((if downwards { "before" } else { "after" }, next));
    if asked.order == Order::Desc {
        parameters.push(("order", "desc"));
    }
    link::next(head.uri.path(), &parameters)
}

async fn timeline(
    head: &Head,
    bridge: &impl Bridge,
    parameters: Parameters,
    in_path: Option<String>,
) -> Result<Reply, Problem> {
    let mut parameters =
        parameters.only(if in_path.is_some() { &["limit", "before"] } else { &["limit", "before", "user"] });
    let user = match &in_path {
        Some(user) => {
            check_in_path(&mut parameters, "username", user);
            user.clone()
        }
        None => parameters.user("user"),
    };
    let limit = limit(&mut parameters, TIMELINE_LIMIT_DEFAULT);
    let before = parameters.text("before").map(str::to_owned);
    if let Some(Err(error)) = before.as_deref().map(MessageId::parse) {
        parameters.violate(Violation::new("before", "not-an-id", error.to_string()));
    }
    parameters.finish()?;
    let asked = TimelineParams { user, limit, before };
    let page = bridge::page(bridge, query::TIMELINE, &asked).await?;
    let limit = limit.to_string();
    let link = page.next.map(|last| {
        let mut next: Vec<(&str, &str)> = Vec::new();
        if in_path.is_none() {
            next.push(("user", asked.user.as_str()));
        }
        next.extend([("limit", limit.as_str()), ("before", &last)]);
        link::next(head.uri.path(), &next)
    });
    Ok(Reply::raw_json(page.body).with_link(link))
}

async fn count(bridge: &impl Bridge, parameters: Parameters) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Counted {
        count: u64,
        user1: Option<String>,
        user2: Option<String>,
    }
    let mut parameters = parameters.only(&["user1", "user2"]);
    let (user1, user2) = (parameters.optional_user("user1"), parameters.optional_user("user2"));
    if parameters.text("user2").is_some() && parameters.text("user1").is_none() {
        parameters.violate(Violation::new("user1", "missing", "user2 needs user1 beside it"));
    }
    parameters.finish()?;
    let asked = CountParams { user1, user2 };
    let Count { count } = bridge::ask(bridge, query::COUNT, &asked).await?;
    Ok(Reply::json(&Counted { count, user1: asked.user1, user2: asked.user2 }))
}

fn check_in_path(parameters: &mut Parameters, field: &str, name: &str) {
    if let Err(violation) = wiber_model::check_name(field, name) {
        parameters.violate(violation);
    }
}

fn limit(parameters: &mut Parameters, default: u32) -> u32 {
    parameters.number("limit", 1, i64::from(PAGE_LIMIT_MAX)).and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
}

fn order(parameters: &mut Parameters) -> Order {
    match parameters.text("order") {
        None | Some("asc") => Order::Asc,
        Some("desc") => Order::Desc,
        Some(_) => {
            parameters.violate(Violation::new("order", "unknown-value", "order must be asc or desc"));
            Order::Asc
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Answering, Fixed, get, request};

    const PAGE: &str = r#"[{"messageId":"msg_5_00000000000000000000","seq":7}]"#;

    async fn asked(uri: &str, next: &str) -> (u16, String, String) {
        let bridge = Answering::with(200, PAGE).and_next(next);
        let answer = respond(&get(uri), &bridge, &Fixed, &Ok(Settings::default())).await;
        let link = answer.headers().get("link").map(|l| l.to_str().unwrap().to_owned()).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let errors: Vec<String> =
            json["errors"].as_array().into_iter().flatten().map(|e| format!("{}:{}", e["field"], e["code"])).collect();
        let asked = bridge.asked.borrow().first().cloned().unwrap_or_else(|| errors.join(" ").replace('"', ""));
        (answer.status().as_u16(), asked, link)
    }

    /// Where `last` was the last message that was read.
    async fn page_to(last: &str, uri: &str, expected: &str, next: &str) {
        let (_, asked, link) = asked(uri, last).await;
        assert_eq!(asked, expected, "{uri}");
        assert_eq!(link, if next.is_empty() { String::new() } else { format!("<{next}>; rel=\"next\"") }, "{uri}");
    }

    async fn page(uri: &str, expected: &str, next: &str) {
        page_to("8", uri, expected, next).await;
    }

    #[tokio::test]
    async fn conversations_in_every_direction() {
        let base = "/query/conversation?";
        let users = "&user1=a&user2=b";
        page("/messages/a/b", &format!("{base}limit=50&order=asc{users}"), "/messages/a/b?limit=50&after=8").await;
        page(
            "/messages/a/b?skip=3&limit=2",
            &format!("{base}after=3&limit=2&order=asc{users}"),
            "/messages/a/b?limit=2&after=8",
        )
        .await;
        page(
            "/messages/a/b?before=9",
            &format!("{base}before=9&limit=50&order=asc{users}"),
            "/messages/a/b?limit=50&before=8",
        )
        .await;
        let next = "/messages/a/b?limit=50&before=8&order=desc";
        page("/messages/a/b?order=desc", &format!("{base}limit=50&order=desc{users}"), next).await;
        let by_query = "/messages/conversation?user1=a&user2=%2F";
        let asked = format!("{base}limit=50&order=asc&user1=a&user2=%2F");
        page(by_query, &asked, "/messages/conversation?user1=a&user2=%2F&limit=50&after=8").await;
    }

    #[tokio::test]
    async fn timelines_page_by_the_last_id() {
        let (id, asked) = ("msg_6_00000000000000000000", "/query/timeline?limit=100&user=a");
        let next = "/messages/user/a?limit=100&before=msg%5F6%5F00000000000000000000";
        page_to(id, "/messages/user/a", asked, next).await;
        page("/messages/timeline?user=a%20", "user:white-space", "").await;
        page("/messages/user/a?before=x", "before:not-an-id", "").await;
    }

    #[tokio::test]
    async fn every_broken_rule_is_named() {
        page(
            "/messages/a/b?limit=0&order=up&x=1&limit=2",
            "x:unknown-parameter limit:repeated limit:out-of-range order:unknown-value",
            "",
        )
        .await;
        page("/messages/a/b?offset=1&before=2", "before:conflict", "").await;
        page("/messages/a/b?after=1&order=desc", "order:conflict", "").await;
        page("/messages/conversation?user1=a", "user2:missing", "").await;
        page("/messages/%20a/b", "user1:white-space", "").await;
        page("/messages/a/b?user1=a", "user1:unknown-parameter", "").await;
        page("/messages/count?user2=b", "user1:missing", "").await;
    }

    #[tokio::test]
    async fn counts_name_who_was_counted() {
        let bridge = Answering::with(200, r#"{"count":3}"#);
        let answer = respond(&get("/messages/count?user1=a%2Bb"), &bridge, &Fixed, &Ok(Settings::default())).await;
        assert_eq!(answer.body(), r#"{"count":3,"user1":"a+b","user2":null}"#);
        assert_eq!(bridge.asked.borrow()[0], "/query/count?user1=a%2Bb");
    }

    async fn status(bridge: Answering, expected: u16) {
        let answer = respond(&get("/messages/a/b"), &bridge, &Fixed, &Ok(Settings::default())).await;
        assert_eq!(answer.status().as_u16(), expected);
    }

    #[tokio::test]
    async fn a_dependency_that_is_down_is_a_503_and_never_an_empty_list() {
        status(Answering::down(), 503).await;
        for bad in [401, 403, 404, 500, 503] {
            status(Answering::with(bad, "[]"), 503).await;
        }
        status(Answering::with(200, "nonsense"), 503).await;
        status(Answering::with(200, r#"{"messages":[],"more":false}"#), 503).await;
        status(Answering::with(200, "[]"), 200).await;
    }

    #[tokio::test]
    async fn options_and_head() {
        let bridge = Answering::with(200, PAGE);
        let answer =
            respond(&request("OPTIONS", "/messages/a/b", &[]), &bridge, &Fixed, &Ok(Settings::default())).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
            (204, "GET, HEAD, OPTIONS")
        );
        let answer = respond(&request("POST", "/messages/a/b", &[]), &bridge, &Fixed, &Ok(Settings::default())).await;
        assert_eq!(answer.status().as_u16(), 405);
    }
}
