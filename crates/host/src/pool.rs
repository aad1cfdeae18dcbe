//! The queue between the server and a component's workers, and the time limit of a request.

use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;
use futures::channel::oneshot;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::handler::{ExpirationError, Request, Response};

use crate::app::Component;
use crate::problem::Problem;

/// How much later than the instance the wait for it ends. An instance that notices the end itself has retired by then, so
/// that a client that was told so does not meet it again.
const GRACE: Duration = Duration::from_millis(250);

/// A request on its way to an instance.
pub(crate) struct Job {
    pub(crate) request: Request,
    /// When its time is over.
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<wasmtime::Result<Response>>,
}

/// One component's queue.
pub(crate) struct Pool {
    pub(crate) component: Arc<Component>,
    pub(crate) jobs: Sender<Job>,
    pub(crate) limit: Duration,
}

impl Pool {
    /// Gives `request` to an instance and waits for its answer, little longer than the limit. The wait is here too and not
    /// with the instance alone, which may be too busy to notice its end.
    ///
    /// # Errors
    /// What the host answers instead.
    pub(crate) async fn call(&self, request: Request) -> Result<Response, Problem> {
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.limit;
        // The queue closes only when no request is left.
        self.jobs.send(Job { request, deadline, answer }).await.map_err(|_| Problem::Failed)?;
        let (problem, reason) = match timeout_at(deadline + GRACE, answered).await {
            Ok(Ok(Ok(response))) => return Ok(response),
            Ok(Ok(Err(error))) if !error.is::<ExpirationError>() => (Problem::Failed, format!("{error:#}")),
            Ok(Err(oneshot::Canceled)) => (Problem::Failed, "the instance ended".to_owned()),
            Ok(Ok(Err(_))) | Err(_) => (Problem::TooLate, "no answer within --request-limit-ms".to_owned()),
        };
        tracing::error!(component = self.component.name, reason, "request not answered");
        Err(problem)
    }
}
