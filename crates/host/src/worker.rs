//! A worker keeps one warm instance of a component serving: many requests in it at once, and a fresh one when it traps,
//! stalls or leaves a request unanswered. One pinned instance is what makes group commit in a component real.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use async_channel::Receiver;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Func};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{ExpirationError, Prepared, Proxy};

use crate::Error;
use crate::args::Args;
use crate::engine::{Compiled, Instance, State};
use crate::gate::Gate;
use crate::pool::Job;

/// How often an instance shows that its event loop turns.
const BEAT: Duration = Duration::from_millis(250);
/// Pause before another try to make an instance.
const RETRY: Duration = Duration::from_millis(500);
/// How long work that no request waits for may go on after the queue has closed.
const AFTERWORK: Duration = Duration::from_secs(1);

/// Serves `jobs`, with `first` to begin with, until the queue is closed and empty.
///
/// # Errors
/// [`Error::Worker`] after a panic.
pub(crate) async fn keep_serving(compiled: Arc<Compiled>, first: Instance, jobs: Receiver<Job>) -> Result<(), Error> {
    let mut serving = JoinSet::new();
    let mut next = Some(first);
    while !(jobs.is_closed() && jobs.is_empty()) {
        match next.take() {
            Some(instance) => {
                // An instance that retires finishes what it has while its successor takes the new requests.
                let (retires, retired) = oneshot::channel();
                serving.spawn(serve(compiled.clone(), instance, jobs.clone(), retires));
                _ = retired.await;
            }
            None => match compiled.instantiate().await {
                Ok(instance) => next = Some(instance),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no instance; trying again");
                    sleep(RETRY).await;
                }
            },
        }
        while let Some(ended) = serving.try_join_next() {
            ended.map_err(Error::Worker)?;
        }
    }
    while let Some(ended) = serving.join_next().await {
        ended.map_err(Error::Worker)?;
    }
    Ok(())
}

/// Runs one instance to its end. `retires` is dropped when it takes no more requests.
async fn serve(compiled: Arc<Compiled>, instance: Instance, jobs: Receiver<Job>, retires: oneshot::Sender<()>) {
    let args = &compiled.engine.args;
    let Instance { mut store, proxy } = instance;
    let beats = AtomicU64::new(0);
    let gate = Gate::new();
    let run =
        store.run_concurrent(async |accessor| drive(accessor, &proxy, (&jobs, &gate), &beats, args, retires).await);
    let run = gate.opened_at_rest(run);
    // An instance that computes or blocks without end holds its event loop, so only a look from outside can end it
    // (wasmtime issues 11869, 11870). The requests in it see their answer's sender dropped.
    let ended = tokio::select! {
        biased;
        ended = run => ended.flatten(),
        () = stalled(&beats, args.stall_limit) => Err(wasmtime::format_err!("stalled for {:?}", args.stall_limit)),
    };
    if let Err(error) = ended {
        tracing::error!(component = compiled.component.name, error = format!("{error:#}"), "instance ended");
    }
}

/// The instance's event loop: takes requests, runs them side by side, and returns once it has retired and is idle.
async fn drive(
    accessor: &Accessor<State>,
    proxy: &Proxy,
    (jobs, gate): (&Receiver<Job>, &Gate),
    beats: &AtomicU64,
    args: &Args,
    retires: oneshot::Sender<()>,
) -> wasmtime::Result<()> {
    let Proxy::P3(service) = proxy;
    let function = *service.wasi_http_handler().func_handle().func();
    let mut beating = pin!(beat(beats));
    let mut running = FuturesUnordered::new();
    let mut retires = Some(retires);
    while retires.is_some() || !running.is_empty() {
        tokio::select! {
            biased;
            Some(answered) = running.next(), if !running.is_empty() => {
                // A request that ran out of time here may have left the instance in a bad state.
                if !answered? {
                    retires = None;
                }
            }
            never = &mut beating => match never {},
            job = next(accessor, function, (jobs, gate)), if retires.is_some() && running.len() < args.concurrent_requests.get() => {
                match job {
                    // Nobody waits any more for a job whose client has left.
                    Some(job) if job.answer.is_canceled() => {}
                    // That its time ran out in the queue says nothing about this instance.
                    Some(job) if job.deadline <= Instant::now() => drop(job.answer.send(Err(ExpirationError.into()))),
                    Some(job) => {
                        running.push(start(accessor, proxy, job, args.request_limit)?);
                        if running.len() >= args.concurrent_requests.get() {
                            gate.close();
                        }
                    }
                    None => retires = None,
                }
            }
        }
    }
    // Bodies that still stream, and whatever else the component does after its answers.
    let afterwork = if jobs.is_closed() { AFTERWORK } else { args.request_limit };
    tokio::select! {
        () = poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)) => {}
        () = sleep(afterwork) => {}
        never = &mut beating => match never {},
    }
    Ok(())
}

/// The next request, once the instance can take one; `None` when the queue is closed. All that wait are taken at once, and
/// then none until the instance rests.
async fn next(accessor: &Accessor<State>, function: Func, (jobs, gate): (&Receiver<Job>, &Gate)) -> Option<Job> {
    let mut received = pin!(jobs.recv());
    poll_fn(|cx| {
        if !gate.is_open() {
            return Poll::Pending;
        }
        if accessor.poll_ready_for_concurrent_call(function, cx).is_pending() {
            // Another instance may take what this one was told of.
            received.set(jobs.recv());
            return Poll::Pending;
        }
        let job = ready!(received.as_mut().poll(cx));
        if jobs.is_empty() {
            gate.close();
        }
        Poll::Ready(job.ok())
    })
    .await
}

/// Begins a request; the future says whether the instance may be trusted on: it answered in time, or was given the request
/// so late that it could hardly have done so.
fn start<'a>(
    accessor: &'a Accessor<State>,
    proxy: &'a Proxy,
    job: Job,
    limit: Duration,
) -> wasmtime::Result<impl Future<Output = wasmtime::Result<bool>> + use<'a>> {
    let prepared = accessor
        .with(|mut store| Prepared::new(store.as_context_mut(), proxy, job.request, State::http, job.answer))?;
    let is_late = job.deadline.saturating_duration_since(Instant::now()) < limit / 2;
    Ok(async move { Ok(prepared.run(accessor, sleep_until(job.deadline)).await? || is_late) })
}

/// Counts on while it is polled, which is while the event loop turns.
async fn beat(beats: &AtomicU64) -> Infallible {
    let mut beat = interval(BEAT);
    loop {
        beat.tick().await;
        beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends when no beat came for `limit`. It counts its own looks, not the clock, so that a stopped process does not seem
/// stalled when it goes on.
async fn stalled(beats: &AtomicU64, limit: Duration) {
    let mut look = interval(BEAT);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut silent) = (0, Duration::ZERO);
    while silent < limit {
        look.tick().await;
        let now = beats.load(Ordering::Relaxed);
        silent = if now == seen { silent + BEAT } else { Duration::ZERO };
        seen = now;
    }
}
