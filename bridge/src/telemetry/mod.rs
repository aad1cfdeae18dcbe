//! Logs and metrics: every metric's name and label, and every log field, in one place.
//!
//! Entry points: [`start_logging`], [`Metrics`].
//!
//! Log fields: `outbox` (URL), `outbox_id`, `topic`, `partition`, `offset`, `position` (in an outbox), `message_id`,
//! `request_id`, `traceparent`, `rows` or `records` (a count), `error` (a chain, without contents), `role`.
//! Message contents, user names in full texts and secrets are never logged.

mod logging;
mod metrics;

pub use logging::start_logging;
pub use metrics::{Hop, Metrics, Operation, Stage};
