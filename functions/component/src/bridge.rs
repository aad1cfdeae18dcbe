//! The bridge's query API over HTTP.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use spin_sdk::http::EmptyBody;
use wiber_handlers::{Bridge, BridgeAnswer, Settings, Unreachable};
use wiber_model::query;

/// Below the 3 s within which every read answers, whatever hangs behind it or trickles in.
const LIMIT: Duration = Duration::from_millis(2_200);
/// Largest answer that is read: a page of 500 messages at their longest fits.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The bridge that the settings name.
pub struct HttpBridge<'a> {
    /// Where it is, and the token for it.
    pub settings: Option<&'a Settings>,
}

impl Bridge for HttpBridge<'_> {
    async fn get(&self, path_and_query: &str) -> Result<BridgeAnswer, Unreachable> {
        let settings = self.settings.ok_or(Unreachable)?;
        let exchange = pin!(exchange(settings, path_and_query));
        let reason = match select(exchange, pin!(spin_sdk::time::sleep(LIMIT))).await {
            Either::Left((Ok(answer), _)) => return Ok(answer),
            Either::Left((Err(reason), _)) => reason,
            Either::Right(_) => format!("no whole answer within {} ms", LIMIT.as_millis()),
        };
        let line = json!({ "message": "the bridge did not answer", "url": settings.bridge_url, "error": reason });
        eprintln!("{line}");
        Err(Unreachable)
    }
}

async fn exchange(settings: &Settings, path_and_query: &str) -> Result<BridgeAnswer, String> {
    let request = Request::get(format!("{}{path_and_query}", settings.bridge_url))
        .header(AUTHORIZATION, format!("Bearer {}", settings.query_token))
        .body(EmptyBody::new())
        .map_err(|error| error.to_string())?;
    let response = spin_sdk::http::send(request).await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let next = response.headers().get(query::NEXT).and_then(|next| next.to_str().ok()).map(str::to_owned);
    let body =
        Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(BridgeAnswer { status, next, body: body.to_bytes() })
}
