//! An outbox that breaks its protocol on demand: the relay's answers to refusals, lost answers and replaced files. Real
//! outboxes are in `tests/`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::value::RawValue;
use url::Url;
use wiber_model::Message;
use wiber_model::outbox::{
    Changed, LEASE, LeaseAnswer, LeaseRequest, PUBLISHED, PublishedRequest, READ, RELEASE, ReadAnswer, ReadRequest,
    ReleaseRequest, Row, SETTLE, STATISTICS, SettleRequest, Statistics, UNSETTLED, UnsettledAnswer, UnsettledRequest,
    UnsettledRow, Which,
};

/// What the outbox does wrong until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It refuses the token.
    Token,
    /// It cannot read.
    Reads,
    /// It marks and then fails.
    MarkAnswers,
    /// It answers rows in the wrong order.
    Order,
    /// Its disk is full: it cannot keep a lease.
    Full,
}

/// The outbox's state, which a test looks at and changes.
pub(crate) struct Contents {
    pub(crate) id: String,
    pub(crate) fault: Fault,
    /// Who holds the lease; a test may take it.
    pub(crate) holder: Option<String>,
    /// Rows by position, and whether they are marked.
    pub(crate) rows: BTreeMap<i64, (Message, bool)>,
    next: i64,
    runs: i64,
    /// Where published rows are said to be.
    pub(crate) partition: i32,
}

impl Contents {
    /// Takes messages, as if they were published already or not.
    pub(crate) fn accept(&mut self, messages: &[Message], published: bool) {
        for message in messages {
            self.rows.insert(self.next, (message.clone(), published));
            self.next += 1;
        }
    }
}

#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) url: Url,
    contents: Arc<Mutex<Contents>>,
}

impl Outbox {
    pub(crate) async fn start(id: &str) -> Self {
        let contents = Contents {
            id: id.to_owned(),
            fault: Fault::None,
            holder: None,
            rows: BTreeMap::new(),
            next: 1,
            runs: 0,
            partition: 0,
        };
        let contents = Arc::new(Mutex::new(contents));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new()
            .route(LEASE, post(lease))
            .route(RELEASE, post(release))
            .route(READ, post(read))
            .route(PUBLISHED, post(published))
            .route(UNSETTLED, post(unsettled))
            .route(SETTLE, post(settle))
            .route(STATISTICS, get(statistics))
            .with_state(Arc::clone(&contents));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, contents }
    }

    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    pub(crate) fn accept(&self, messages: &[Message]) {
        self.contents().accept(messages, false);
    }

    /// Rows that are not marked.
    pub(crate) fn unmarked(&self) -> usize {
        self.contents().rows.values().filter(|(_, marked)| !marked).count()
    }
}

type Shared = State<Arc<Mutex<Contents>>>;

fn changed(contents: &Contents, changed: u64) -> Response {
    Json(Changed { outbox_id: contents.id.clone(), changed }).into_response()
}

async fn lease(State(shared): Shared, Json(request): Json<LeaseRequest>) -> Response {
    let mut contents = shared.lock().unwrap();
    match contents.fault {
        Fault::Token => return StatusCode::UNAUTHORIZED.into_response(),
        Fault::Full => return (StatusCode::SERVICE_UNAVAILABLE, r#"{"detail":"the disk is full"}"#).into_response(),
        Fault::None | Fault::Reads | Fault::MarkAnswers | Fault::Order => {}
    }
    match &contents.holder {
        Some(holder) if *holder != request.holder => StatusCode::CONFLICT.into_response(),
        _ => {
            contents.holder = Some(request.holder);
            Json(LeaseAnswer { outbox_id: contents.id.clone(), tenure: Some(1) }).into_response()
        }
    }
}

async fn release(State(shared): Shared, Json(request): Json<ReleaseRequest>) -> Response {
    let mut contents = shared.lock().unwrap();
    if contents.holder.as_ref() == Some(&request.holder) {
        contents.holder = None;
    }
    changed(&contents, 1)
}

async fn read(State(shared): Shared, Json(request): Json<ReadRequest>) -> Response {
    // Long enough that an idle relay does not spin.
    if request.wait_ms > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut contents = shared.lock().unwrap();
    match contents.fault {
        Fault::Token => return StatusCode::UNAUTHORIZED.into_response(),
        Fault::Reads => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => {}
    }
    if contents.holder.as_ref() != Some(&request.holder) {
        return StatusCode::CONFLICT.into_response();
    }
    let wanted = |marked: &bool| request.which == Which::Unsettled || !marked;
    let mut rows: Vec<Row> = contents
        .rows
        .range(request.after + 1..)
        .filter(|(_, (_, marked))| wanted(marked))
        .take(request.limit as usize)
        .map(|(position, (message, _))| row(*position, message))
        .collect();
    if contents.fault == Fault::Order {
        rows.reverse();
    }
    let last_position = (request.which == Which::Unsettled).then(|| contents.next - 1);
    let begins_run = request.which == Which::Unsettled && request.after == 0;
    contents.runs += i64::from(begins_run);
    let run = begins_run.then_some(contents.runs);
    Json(ReadAnswer { outbox_id: contents.id.clone(), rows, last_position, run }).into_response()
}

fn row(position: i64, message: &Message) -> Row {
    Row {
        position,
        message: RawValue::from_string(serde_json::to_string(message).unwrap()).unwrap(),
        request_id: format!("request-{position}"),
        traceparent: String::new(),
    }
}

async fn published(State(shared): Shared, Json(request): Json<PublishedRequest>) -> Response {
    let mut contents = shared.lock().unwrap();
    let mut count = 0;
    for mark in request.rows {
        if let Some((_, marked)) =
            contents.rows.get_mut(&mark.position).filter(|(m, _)| m.message_id == mark.message_id)
        {
            count += u64::from(!std::mem::replace(marked, true));
        }
    }
    if contents.fault == Fault::MarkAnswers {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    changed(&contents, count)
}

async fn unsettled(State(shared): Shared, Json(request): Json<UnsettledRequest>) -> Json<UnsettledAnswer> {
    let contents = shared.lock().unwrap();
    let rows = contents
        .rows
        .range(request.after + 1..)
        .filter(|(_, (_, marked))| *marked)
        .take(request.limit as usize)
        .map(|(position, (message, _))| UnsettledRow {
            position: *position,
            message_id: message.message_id.clone(),
            partition: contents.partition,
        })
        .collect();
    Json(UnsettledAnswer { outbox_id: contents.id.clone(), rows })
}

async fn settle(State(shared): Shared, Json(request): Json<SettleRequest>) -> Response {
    let mut contents = shared.lock().unwrap();
    let before = contents.rows.len();
    for row in request.rows {
        contents.rows.remove(&row.position);
    }
    changed(&contents, (before - contents.rows.len()) as u64)
}

async fn statistics(State(shared): Shared) -> Json<Statistics> {
    let contents = shared.lock().unwrap();
    Json(Statistics {
        outbox_id: contents.id.clone(),
        accepted_total: contents.next - 1,
        messages: i64::try_from(contents.rows.len()).unwrap(),
        keys: 0,
        bytes: 0,
        rows_max: 1_000,
        bytes_max: 1_000_000,
        oldest_age_ms: 0,
    })
}
