//! An outbox, to be looked at only: neither its lease nor its rows are touched.

use url::Url;
use wiber_model::outbox::{ROWS_MAX, RowsAnswer, Statistics};

use super::source::{self, Source, http_client};
use crate::config::Secret;

/// One outbox.
#[derive(Debug, Clone)]
pub struct View(Source);

/// Why an outbox could not be looked at; it names the outbox.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ViewError(Why);

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("setting up HTTP")]
    Http(#[source] reqwest::Error),
    #[error(transparent)]
    Source(source::Error),
}

impl View {
    /// The outbox at `url`; nothing is asked yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(url: &Url, token: &Secret) -> Result<Self, ViewError> {
        let http = http_client().map_err(|error| ViewError(Why::Http(error)))?;
        Ok(Self(Source::new(http, url, token.clone(), String::new())))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Depth and age.
    ///
    /// # Errors
    /// If no answer comes in time, or the token is refused.
    pub async fn statistics(&self) -> Result<Statistics, ViewError> {
        self.0.statistics().await.map_err(|error| ViewError(Why::Source(error)))
    }

    /// Rows above a position, whatever became of them; empty after the last.
    ///
    /// # Errors
    /// If no answer comes in time, or the token is refused.
    pub async fn rows(&self, after: i64) -> Result<RowsAnswer, ViewError> {
        self.0.rows(after, ROWS_MAX).await.map_err(|error| ViewError(Why::Source(error)))
    }
}
