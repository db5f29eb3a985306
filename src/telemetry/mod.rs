//! Logs, metrics and request ids: what every room may use to say what happens.
//!
//! Floor 0: knows no other room. `app` starts logging and makes the metrics registry; rooms create
//! their metric families from the registry they are handed.

mod line;
mod logging;
mod metrics;
mod repeats;
mod sink;

pub use logging::{LogFormat, Logging, LoggingError, check_level, start};
pub use metrics::{Metrics, opts};
