//! Clients over HTTP/1.1, each with a connection that it keeps, and the time that every answer took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::figure::median;

/// Makes the request of a connection, by its number and the number of the request on it.
pub(crate) type Make = Arc<dyn Fn(usize, u64) -> Request<Full<Bytes>> + Send + Sync>;

/// When requests begin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each client's next when its last is answered.
    Closed,
    /// So many a second in all, on a schedule that no slow answer delays: a request that found no free connection at its
    /// time has waited since then (no coordinated omission).
    Open(f64),
}

/// A load to be put on a server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Answers before this are not counted.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) make: Make,
}

/// What a load met.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Answers of status 200.
    pub(crate) answered: u64,
    /// Other answers, by status; 0 is none at all.
    pub(crate) failed: BTreeMap<u16, u64>,
    pub(crate) seconds: f64,
    /// Of the answers of status 200, microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// Milliseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Nothing but 200, or which.
    ///
    /// # Errors
    /// If there was another answer, or none at all.
    pub(crate) fn all_well(self) -> anyhow::Result<Self> {
        if !self.failed.is_empty() || self.answered == 0 {
            // Before what it was put on is dropped with its logs.
            wiber_tests::run::keep();
            bail!("{} answers 200; others by status (0: none): {:?}", self.answered, self.failed);
        }
        Ok(self)
    }
}

/// Puts a load on a server and returns what it met. All clients share one thread of their own, so that what they take of
/// the processors, which the server needs too, is little.
///
/// # Errors
/// If nobody listens.
pub(crate) async fn run(load: &Load) -> anyhow::Result<Measured> {
    let load = load.clone();
    let clients = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(all(&load))
    });
    clients.await?
}

async fn all(load: &Load) -> anyhow::Result<Measured> {
    let begin = Instant::now() + Duration::from_millis(20);
    let from = begin + load.warm_up;
    let to = from + load.measured;
    let slots = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for number in 0..load.connections {
        let client = Client { number, load: load.clone(), begin, from, to, slots: Arc::clone(&slots) };
        clients.spawn(client.run());
    }
    let mut sum =
        Measured { answered: 0, failed: BTreeMap::new(), seconds: load.measured.as_secs_f64(), latency: histogram() };
    while let Some(ended) = clients.join_next().await {
        let one = ended??;
        sum.answered += one.answered;
        sum.latency.add(&one.latency)?;
        one.failed.into_iter().for_each(|(status, count)| *sum.failed.entry(status).or_default() += count);
    }
    Ok(sum)
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits can be had")
}

struct Client {
    number: usize,
    load: Load,
    begin: Instant,
    from: Instant,
    to: Instant,
    slots: Arc<AtomicU64>,
}

impl Client {
    async fn run(self) -> anyhow::Result<Measured> {
        let address = self.load.address;
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut connection = pin!(connection);
        let mut met = Measured { answered: 0, failed: BTreeMap::new(), seconds: 0.0, latency: histogram() };
        for count in 0.. {
            let due = self.due();
            // What is late by then is not counted any more, so it need not be sent.
            if due >= self.to || Instant::now() >= self.to {
                break;
            }
            // Even a sleep that is over takes up to a millisecond.
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            let exchange = async {
                sender.ready().await?;
                let answer = sender.send_request((self.load.make)(self.number, count)).await?;
                let status = answer.status().as_u16();
                answer.into_body().collect().await?;
                Ok::<_, hyper::Error>(status)
            };
            let status = tokio::select! {
                biased;
                answered = exchange => answered.unwrap_or(0),
                _ = &mut connection => 0,
            };
            let now = Instant::now();
            if now >= self.from && now < self.to {
                if status == 200 {
                    met.answered += 1;
                    // A resizing histogram takes any value.
                    let _ = met.latency.record(u64::try_from((now - due).as_micros())?);
                } else {
                    *met.failed.entry(status).or_default() += 1;
                }
            }
            if status == 0 {
                break;
            }
        }
        Ok(met)
    }

    /// When the next request is to begin.
    fn due(&self) -> Instant {
        match self.load.pace {
            Pace::Closed => Instant::now().max(self.begin),
            Pace::Open(rate) => {
                let slot = self.slots.fetch_add(1, Ordering::Relaxed);
                self.begin + Duration::from_secs_f64(slot as f64 / rate)
            }
        }
    }
}

/// Rates and quantiles over several runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    pub(crate) rates: Vec<f64>,
    pub(crate) p50: Vec<f64>,
    pub(crate) p99: Vec<f64>,
    pub(crate) p999: Vec<f64>,
}

impl Series {
    pub(crate) fn add(&mut self, measured: &Measured) {
        self.rates.push(measured.rate());
        self.p50.push(measured.quantile(0.5));
        self.p99.push(measured.quantile(0.99));
        self.p999.push(measured.quantile(0.999));
    }

    pub(crate) fn told(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            median(&self.rates),
            median(&self.p50),
            median(&self.p99),
            median(&self.p999)
        )
    }
}
