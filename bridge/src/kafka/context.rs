//! librdkafka's log lines and errors, as `tracing` events.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A context that only logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_event(&error, reason);
    }
}

impl ConsumerContext for LogContext {}

/// Whether librdkafka says that it met a partition without a leader. It then may never use that partition again, though
/// it gets a leader a moment later (confluentinc/librdkafka issue 5430, open up to 2.14): only a new client surely does.
#[must_use]
pub fn is_leaderless(facility: &str, message: &str) -> bool {
    facility == "METADATAUPDATE" && message.contains("new leader-1 not found in cache")
}

/// Logs an error event of a client. An absent broker is a state, which readiness and the probe's log lines show; each
/// failed attempt to connect is only a detail.
pub fn log_event(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::Resolve,
        ) => tracing::debug!(target: "librdkafka", %error, reason, "connection"),
        _ => tracing::warn!(target: "librdkafka", %error, reason, "client error"),
    }
}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // A failed connection is logged at this level too; see `log_event`.
        RDKafkaLogLevel::Error if facility == "FAIL" => tracing::debug!(target: "librdkafka", facility, "{message}"),
        // Said once for each client about settings that are meant.
        RDKafkaLogLevel::Warning if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", "{message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
