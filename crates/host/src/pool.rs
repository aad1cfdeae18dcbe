//! The queue between the server and a component's workers, and the time limit of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_channel::Sender;
use futures::channel::oneshot;
use wasmtime_wasi_http::handler::{ExpirationError, Request, Response};

use crate::problem::Problem;

/// A request on its way to an instance.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<wasmtime::Result<Response>>,
    claimed: Arc<AtomicBool>,
}

impl Job {
    /// Whether the worker that took the job may begin it: not where the client has left or has been told 503.
    pub(crate) fn claim(&self) -> bool {
        !self.answer.is_canceled() && !self.claimed.swap(true, Ordering::AcqRel)
    }
}

/// One component's queue.
pub(crate) struct Pool {
    component: Arc<str>,
    jobs: Sender<Job>,
    limit: Duration,
}

impl Pool {
    pub(crate) fn new(component: Arc<str>, jobs: Sender<Job>, limit: Duration) -> Self {
        Self { component, jobs, limit }
    }

    /// Takes no more requests; those that wait are still served.
    pub(crate) fn close(&self) {
        self.jobs.close();
    }

    /// Gives `request` to an instance and waits for its answer, at most as long as the limit. The wait is here and not
    /// with the instance, which may be too busy to notice its end.
    ///
    /// # Errors
    /// What the host answers instead.
    pub(crate) async fn call(&self, request: Request) -> Result<Response, Problem> {
        let (answer, answered) = oneshot::channel();
        let claimed = Arc::new(AtomicBool::new(false));
        let job = Job { request, answer, claimed: claimed.clone() };
        let component = &*self.component;
        if self.jobs.send(job).await.is_err() {
            return Err(Problem::Busy);
        }
        match tokio::time::timeout(self.limit, answered).await {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(error))) if error.is::<ExpirationError>() => Err(self.too_late()),
            Ok(Ok(Err(error))) => {
                tracing::error!(component, error = format!("{error:#}"), "request failed");
                Err(Problem::Failed)
            }
            Ok(Err(oneshot::Canceled)) => Err(Problem::Failed),
            Err(_) if claimed.swap(true, Ordering::AcqRel) => Err(self.too_late()),
            Err(_) => {
                tracing::warn!(component, "no instance took a request in time");
                Err(Problem::Busy)
            }
        }
    }

    fn too_late(&self) -> Problem {
        tracing::error!(component = &*self.component, "request exceeded its time limit");
        Problem::TooLate
    }
}
