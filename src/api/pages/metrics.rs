//! `GET /metrics`, for Prometheus, on a listener of its own (WB-02).

use ::http::{HeaderValue, StatusCode};

use crate::api::state::State;
use crate::http::{AccessLevel, Response, response};
use crate::telemetry::Metrics;

/// Answers with every family in the text format.
pub(in crate::api) fn metrics(state: &State) -> Response {
    let mut answer = match state.metrics.render() {
        Ok(text) => {
            let content_type = HeaderValue::from_static(Metrics::CONTENT_TYPE);
            response::bytes(StatusCode::OK, content_type, text)
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            response::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The metrics cannot be written.\n",
            )
        }
    };
    answer.extensions_mut().insert(AccessLevel::Quiet);
    answer
}
