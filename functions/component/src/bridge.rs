//! The bridge's query API over HTTP.

use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Limited};
use spin_sdk::http::EmptyBody;
use spin_sdk::wasip3::http::types::RequestOptions;
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use wiber_handlers::{Bridge, Settings, Unreachable};

const MILLISECOND_NS: u64 = 1_000_000;
// Together below the 3 s within which every read answers, whatever hangs behind it.
const CONNECT_NS: u64 = 500 * MILLISECOND_NS;
const FIRST_BYTE_NS: u64 = 2_000 * MILLISECOND_NS;
const BETWEEN_BYTES_NS: u64 = 250 * MILLISECOND_NS;
/// Largest answer that is read: a page of 500 messages at their longest fits.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The bridge that the settings name.
pub struct HttpBridge<'a> {
    /// Where it is, and the token for it.
    pub settings: Option<&'a Settings>,
}

impl Bridge for HttpBridge<'_> {
    async fn get(&self, path_and_query: &str) -> Result<(u16, Vec<u8>), Unreachable> {
        let settings = self.settings.ok_or(Unreachable)?;
        let request = Request::get(format!("{}{path_and_query}", settings.bridge_url))
            .header(AUTHORIZATION, format!("Bearer {}", settings.query_token))
            .extension(RequestOptionsExtension(options()))
            .body(EmptyBody::new())
            .map_err(|_| Unreachable)?;
        let response = spin_sdk::http::send(request).await.map_err(|error| {
            eprintln!("{}", serde_json::json!({ "message": "the bridge did not answer", "url": settings.bridge_url, "error": error.to_string() }));
            Unreachable
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|_| Unreachable)?;
        Ok((status, body.to_bytes().to_vec()))
    }
}

fn options() -> RequestOptions {
    let options = RequestOptions::new();
    // A host that does not support one of them ignores it.
    let _ = options.set_connect_timeout(Some(CONNECT_NS));
    let _ = options.set_first_byte_timeout(Some(FIRST_BYTE_NS));
    let _ = options.set_between_bytes_timeout(Some(BETWEEN_BYTES_NS));
    options
}
