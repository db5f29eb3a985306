//! The route table of every door that is not `/v2/`, as data.

use ::http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;

use super::pages::{self, Probe};
use super::state::State;
use super::v1::{ApiError, ApiRow};
use crate::http::{Error, Exchange, Request, Response, Router, Table, response};

/// What stands behind a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Page(Page),
    /// The row of that place in the list of the API's.
    Row(usize),
}

/// What is the same for everybody.
#[derive(Clone, Copy, Debug)]
pub(super) enum Page {
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
pub(super) fn site(rows: &[ApiRow]) -> Result<Router<Door>, Error> {
    let mut table = probe_rows();
    for (place, row) in rows.iter().enumerate() {
        table.route(
            row.method.clone(),
            row.pattern,
            row.operation,
            Door::Row(place),
        );
    }
    table.route(
        Method::GET,
        "/",
        "getLandingPage",
        Door::Page(Page::Landing),
    );
    table.route(
        Method::GET,
        "/favicon.ico",
        "getFavicon",
        Door::Page(Page::Favicon),
    );
    table.build()
}

/// The doors of the listener for metrics.
pub(super) fn probes() -> Result<Router<Door>, Error> {
    let mut table = probe_rows();
    table.route(
        Method::GET,
        "/metrics",
        "getMetrics",
        Door::Page(Page::Metrics),
    );
    table.build()
}

fn probe_rows() -> Table<Door> {
    let mut table = Table::new();
    for (pattern, operation, probe) in PROBES {
        table.route(
            Method::GET,
            pattern,
            operation,
            Door::Page(Page::Probe(probe)),
        );
    }
    table
}

/// Answers at a page's door.
pub(super) async fn open(
    page: Page,
    state: &State,
    exchange: &Exchange,
    headers: &HeaderMap,
) -> Response {
    match page {
        Page::Landing => pages::landing(state, exchange).await,
        Page::Favicon => response::no_content(),
        Page::Metrics => pages::metrics(state),
        Page::Probe(probe) => pages::probe(state, probe, (exchange, headers)).await,
    }
}

/// 405 in the form that the client reads.
pub(super) fn method_not_allowed(request: &Request) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    match request.uri().path().starts_with("/api/") {
        true => {
            let message = "The method is not allowed for the requested URL.";
            response::json(status, &json!({ "message": message }))
        }
        false => response::text(status, "This is only read.\n"),
    }
}

/// 404 in the form that the client reads: JSON for programs that say so, text for all others.
pub(super) fn not_found(request: &Request, site: &str) -> Response {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let wants_json = accept.is_some_and(|accept| accept.contains("json"))
        || request.uri().path().starts_with("/api/");
    match wants_json {
        true => ApiError::not_found().answer(site),
        false => response::text(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Match;

    /// WB-02: metrics are not to be had where the content is.
    #[test]
    fn metrics_stand_on_their_own_listener_only() {
        let (site, probes) = (site(&[]).unwrap(), probes().unwrap());
        let found = |router: &Router<Door>, path: &str| {
            matches!(router.find(&Method::GET, path), Match::Found(..))
        };
        assert!(!found(&site, "/metrics") && found(&probes, "/metrics"));
        assert!(found(&site, "/") && !found(&probes, "/"));
        assert!(found(&site, "/readyz") && found(&probes, "/readyz"));
    }
}
