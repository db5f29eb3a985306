//! The route table of every door that is not `/v2/`, as data.

use ::http::{Method, StatusCode, header};
use serde_json::json;

use super::pages::{self, Probe};
use super::state::State;
use crate::http::{Error, Exchange, Request, Response, Router, Table, response};

/// What stands behind a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Landing,
    Favicon,
    Metrics,
    Probe(Probe),
}

const PROBES: [(&str, &str, Probe); 8] = [
    ("/health", "getHealth", Probe::Instance),
    ("/health/instance", "getHealth", Probe::Instance),
    ("/health/endtoend", "getHealthEndToEnd", Probe::EndToEnd),
    ("/status", "getHealthEndToEnd", Probe::EndToEnd),
    ("/health/warning", "getHealthWarning", Probe::Warning),
    ("/_internal_ping", "ping", Probe::Ping),
    ("/livez", "getLiveness", Probe::Live),
    ("/readyz", "getReadiness", Probe::Ready),
];

/// The doors of the site's own listeners and of the mirrors.
pub(super) fn site() -> Result<Router<Door>, Error> {
    let mut table = probe_rows();
    table.route(Method::GET, "/", "getLandingPage", Door::Landing);
    table.route(Method::GET, "/favicon.ico", "getFavicon", Door::Favicon);
    table.build()
}

/// The doors of the listener for metrics.
pub(super) fn probes() -> Result<Router<Door>, Error> {
    let mut table = probe_rows();
    table.route(Method::GET, "/metrics", "getMetrics", Door::Metrics);
    table.build()
}

fn probe_rows() -> Table<Door> {
    let mut table = Table::new();
    for (pattern, operation, probe) in PROBES {
        table.route(Method::GET, pattern, operation, Door::Probe(probe));
    }
    table
}

/// Answers at a door.
pub(super) async fn open(door: Door, state: &State, exchange: &Exchange) -> Response {
    match door {
        Door::Landing => pages::landing(state, exchange).await,
        Door::Favicon => response::no_content(),
        Door::Metrics => pages::metrics(state),
        Door::Probe(probe) => pages::probe(state, probe).await,
    }
}

/// 404 in the form that the client reads: JSON for programs that say so, text for all others.
pub(super) fn not_found(request: &Request) -> Response {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let wants_json = accept.is_some_and(|accept| accept.contains("json"))
        || request.uri().path().starts_with("/api/");
    if wants_json {
        let body = json!({ "status": 404, "title": "not_found", "detail": "Not Found" });
        response::json(StatusCode::NOT_FOUND, &body)
    } else {
        response::text(StatusCode::NOT_FOUND, "There is nothing here.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Match;

    /// WB-02: metrics are not to be had where the content is.
    #[test]
    fn metrics_stand_on_their_own_listener_only() {
        let (site, probes) = (site().unwrap(), probes().unwrap());
        let found = |router: &Router<Door>, path: &str| {
            matches!(router.find(&Method::GET, path), Match::Found(..))
        };
        assert!(!found(&site, "/metrics") && found(&probes, "/metrics"));
        assert!(found(&site, "/") && !found(&probes, "/"));
        assert!(found(&site, "/readyz") && found(&probes, "/readyz"));
    }
}
