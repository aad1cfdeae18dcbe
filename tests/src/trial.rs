//! Async functions as tests of `libtest-mimic`, all on one runtime, so that what they share outlives each of them.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use crate::host::Host;
use crate::site::{Place, Site};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(480);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime can be started"));

/// Runs a future to its end on the run's runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// A test.
pub fn test<F>(name: &str, body: fn() -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    trial(name.to_owned(), body)
}

/// A test of a stack on one host.
pub fn test_on<F>(host: Host, name: &str, body: fn(Host) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    trial(format!("{name} [{}]", host.word()), move || body(host))
}

/// A test of the HTTP suite at one place.
pub fn test_at<F>(place: Place, name: &str, body: fn(Site) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    let name = format!("{name} [{}]", place.word());
    trial(name, move || async move { body(place.site().await).await })
}

fn trial<F>(name: String, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        block_on(async {
            let mut body = std::pin::pin!(body());
            // The panic passes the body, so that what it holds is dropped as that of a failed test.
            let ended = tokio::time::timeout(LIMIT, body.as_mut()).await;
            assert!(ended.is_ok(), "not over within {LIMIT:?}");
        });
        Ok(())
    })
}

/// Lists functions of the calling module as tests: `tests![a_promise_holds, another]`.
#[macro_export]
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        vec![$($crate::trial::test($crate::trial::short(module_path!(), stringify!($name)).as_str(), $name)),+]
    };
}

/// Lists functions of the calling module as tests of stacks on a host: `tests_on![host; one, another]`.
#[macro_export]
macro_rules! tests_on {
    ($host:expr; $($name:ident),+ $(,)?) => {
        vec![$($crate::trial::test_on($host, $crate::trial::short(module_path!(), stringify!($name)).as_str(), $name)),+]
    };
}

/// Lists functions of the calling module as tests of the HTTP suite at a place: `tests_at![place; one, another]`.
#[macro_export]
macro_rules! tests_at {
    ($place:expr; $($name:ident),+ $(,)?) => {
        vec![$($crate::trial::test_at($place, $crate::trial::short(module_path!(), stringify!($name)).as_str(), $name)),+]
    };
}

/// A test's name without the name of the binary.
#[must_use]
pub fn short(module: &str, name: &str) -> String {
    let module = module.split_once("::").map_or("", |(_, rest)| rest);
    format!("{module}::{name}")
}
