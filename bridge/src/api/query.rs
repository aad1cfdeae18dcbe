//! The queries. Parameters were checked by the functions for people; here they are checked for MongoDB's sake.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use wiber_model::query::{
    ConversationParams, Count, CountParams, MessageParams, MessageState, NEXT, Report, TimelineParams,
};
use wiber_model::{PAGE_LIMIT_MAX, check_name};

use super::problem::Problem;
use crate::report::Chain;
use crate::status::Board;
use crate::store::{self, Page, Store};

/// How long a query may take in all, so that a GET of the functions answers within three seconds.
const LIMIT: Duration = Duration::from_millis(2_500);

type Answer<T> = Result<Json<T>, Problem>;
type Shown = Result<Response, Problem>;
type Params<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) async fn conversation(State(store): State<Store>, params: Params<ConversationParams>) -> Shown {
    let params = valid(params)?;
    check_limit(params.limit)?;
    check_user("user1", &params.user1)?;
    check_user("user2", &params.user2)?;
    if params.after.is_some() && params.before.is_some() {
        return Err(Problem::invalid("after and before exclude each other"));
    }
    in_time(store.conversation(&params)).await.map(show)
}

pub(super) async fn timeline(State(store): State<Store>, params: Params<TimelineParams>) -> Shown {
    let params = valid(params)?;
    check_limit(params.limit)?;
    check_user("user", &params.user)?;
    in_time(store.timeline(&params)).await.map(show)
}

pub(super) async fn count(State(store): State<Store>, params: Params<CountParams>) -> Answer<Count> {
    let params = valid(params)?;
    if params.user2.is_some() && params.user1.is_none() {
        return Err(Problem::invalid("user2 needs user1"));
    }
    for (name, user) in [("user1", &params.user1), ("user2", &params.user2)] {
        user.as_ref().map_or(Ok(()), |user| check_user(name, user))?;
    }
    answer(async { Ok(Count { count: store.count(&params).await? }) }).await
}

pub(super) async fn message(State(store): State<Store>, params: Params<MessageParams>) -> Answer<MessageState> {
    let params = valid(params)?;
    let Json(state) = answer(store.message(&params.id)).await?;
    state.map(Json).ok_or_else(|| Problem::not_found("no message with this id is stored or dead-lettered"))
}

pub(super) async fn status(State(board): State<Board>) -> Json<Report> {
    Json(board.report())
}

async fn answer<T>(question: impl Future<Output = Result<T, store::Error>>) -> Answer<T> {
    in_time(question).await.map(Json)
}

fn show(page: Page) -> Response {
    let next = page.next.map(|next| [(NEXT, next)]);
    ([(CONTENT_TYPE, "application/json")], next, page.json).into_response()
}

async fn in_time<T>(question: impl Future<Output = Result<T, store::Error>>) -> Result<T, Problem> {
    match tokio::time::timeout(LIMIT, question).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::warn!(error = %Chain(&error), "a query failed");
            Err(Problem::mongodb_unavailable())
        }
        Err(_) => {
            tracing::warn!(limit_ms = LIMIT.as_millis(), "a query took too long");
            Err(Problem::mongodb_unavailable())
        }
    }
}

fn valid<T>(params: Params<T>) -> Result<T, Problem> {
    params.map(|Query(params)| params).map_err(|rejection| Problem::invalid(rejection.body_text()))
}

fn check_limit(limit: u32) -> Result<(), Problem> {
    if (1..=PAGE_LIMIT_MAX).contains(&limit) {
        Ok(())
    } else {
        Err(Problem::invalid(format!("limit must be 1 to {PAGE_LIMIT_MAX}")))
    }
}

fn check_user(field: &str, name: &str) -> Result<(), Problem> {
    check_name(field, name).map_err(|violation| Problem::invalid(violation.detail))
}
