//! One deployment that many tests share and none disturbs: of the harness's own, or any that runs already.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::host::Host;
use crate::stack::{Plan, Stack};

/// Points the HTTP suite at a running deployment.
const URL: &str = "WIBER_TEST_URL";
/// That deployment's outbox token, for the tests that look into its outbox; optional.
const OUTBOX_TOKEN: &str = "WIBER_TEST_OUTBOX_TOKEN";

static EMBEDDED: OnceCell<Result<Site, String>> = OnceCell::const_new();
static NAMED: OnceCell<Result<Site, String>> = OnceCell::const_new();
static SPIN: OnceCell<Result<Site, String>> = OnceCell::const_new();

/// Which deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One of the harness's own: a host, a bridge and the shared servers.
    Own(Host),
    /// The deployment that `WIBER_TEST_URL` names.
    Url,
}

impl Place {
    /// The places that can be tested here: only the named deployment if there is one.
    #[must_use]
    pub fn present() -> Vec<Self> {
        if std::env::var_os(URL).is_some() {
            return vec![Self::Url];
        }
        Host::present().into_iter().map(Self::Own).collect()
    }

    /// The word in the tests' names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Own(host) => host.word(),
            Self::Url => "url",
        }
    }

    /// The deployment, started at first use.
    ///
    /// # Panics
    /// If it cannot be started, for every test that asks.
    pub async fn site(self) -> Site {
        let site = match self {
            Self::Own(host @ Host::Embedded) => EMBEDDED.get_or_init(|| start(host)).await,
            Self::Own(host @ Host::Spin) => SPIN.get_or_init(|| start(host)).await,
            Self::Url => NAMED.get_or_init(named).await,
        };
        site.clone().unwrap_or_else(|error| panic!("the shared deployment did not start: {error}"))
    }
}

/// A deployment to send to and read from, under names of one's own.
#[derive(Debug, Clone)]
pub struct Site {
    /// Speaks to its functions.
    pub client: Client,
    /// Its outbox token, where it is known.
    pub outbox_token: Option<String>,
    /// Its insides, where the harness started it.
    pub stack: Option<Arc<Stack>>,
}

/// Kills what was started; dropping statics is nobody's task otherwise.
pub async fn stop_all() {
    for cell in [&EMBEDDED, &SPIN] {
        if let Some(Ok(Site { stack: Some(stack), .. })) = cell.get() {
            stack.stop().await;
        }
    }
}

async fn start(host: Host) -> Result<Site, String> {
    // A panic would leave the cell empty and every further test try again, so it is kept as text.
    let started = AssertUnwindSafe(Plan::new("shared").host(host).start()).catch_unwind().await;
    let stack = started.map_err(|panic| panic_text(panic.as_ref()))?;
    let (client, outbox_token) = (stack.client.clone(), Some(stack.outbox_token.clone()));
    Ok(Site { client, outbox_token, stack: Some(Arc::new(stack)) })
}

async fn named() -> Result<Site, String> {
    let url = std::env::var(URL).unwrap_or_default();
    let client = Client::functions(&url);
    let ready = client.call("GET", "/health/readiness").attempt().await;
    let ready = ready.map_err(|error| format!("{URL}={url} does not answer: {error}"))?;
    if ready.status != 200 {
        return Err(format!("{URL}={url} is not ready: {ready}"));
    }
    Ok(Site { client, outbox_token: std::env::var(OUTBOX_TOKEN).ok(), stack: None })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
