//! Whether the site works: in Quay's shape for its monitors, and as plain probes.
//!
//! `/livez` says that requests are answered at all, `/readyz` that content can be served. An upstream
//! that is down makes neither fail: what is held is served without it (LC-02). The names of the
//! services are Quay's; those that are no process of their own here cannot fail by themselves.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::http::{StatusCode, header};
use rustix::fs::Access;
use serde::Serialize;

use crate::api::headers;
use crate::api::state::State;
use crate::http::{AccessLevel, Response, response};

/// A store that takes longer than this to answer counts as one that does not.
const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::api) enum Probe {
    /// `/health`, `/health/instance`
    Instance,
    /// `/health/endtoend`, `/status`
    EndToEnd,
    /// `/health/warning`
    Warning,
    /// `/_internal_ping`
    Ping,
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
}

/// Quay's answer.
#[derive(Serialize)]
struct HealthView {
    data: HealthData,
    status_code: u16,
}

#[derive(Serialize)]
struct HealthData {
    services: BTreeMap<&'static str, bool>,
}

/// Answers a probe; the status is 200 or 503.
pub(in crate::api) async fn probe(state: &State, probe: Probe) -> Response {
    let mut answer = match probe {
        Probe::Instance | Probe::EndToEnd | Probe::Warning => view(services(state, probe).await),
        Probe::Ping => response::json(StatusCode::OK, &true),
        Probe::Live => response::text(StatusCode::OK, "ok\n"),
        Probe::Ready => ready(state).await,
    };
    // Probed every few seconds, and telling only while it is asked.
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, headers::NO_STORE);
    answer.extensions_mut().insert(AccessLevel::Quiet);
    answer
}

async fn services(state: &State, probe: Probe) -> BTreeMap<&'static str, bool> {
    if probe == Probe::Warning {
        return BTreeMap::from([("disk_space_warning", has_room_to_spare(state))]);
    }
    let mut services = BTreeMap::from([
        ("database", store_answers(state).await),
        ("storage", is_storage_usable(state)),
        ("redis", true),
        ("auth", true),
    ]);
    if probe == Probe::Instance {
        services.extend([
            ("registry_gunicorn", true),
            ("web_gunicorn", true),
            ("service_key", true),
            ("disk_space", state.registry.ledger().disk_deficit() == 0),
        ]);
    }
    services
}

async fn ready(state: &State) -> Response {
    if state.draining.load(Ordering::Relaxed) {
        response::text(StatusCode::SERVICE_UNAVAILABLE, "ending\n")
    } else if !store_answers(state).await {
        response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer\n",
        )
    } else {
        response::text(StatusCode::OK, "ok\n")
    }
}

async fn store_answers(state: &State) -> bool {
    let listed = tokio::time::timeout(STORE_DEADLINE, state.registry.holdings()).await;
    !state.registry.store().failed() && matches!(listed, Ok(Ok(_)))
}

/// Whether the data directory can be read and written, and has taken every sync so far (DK-05).
fn is_storage_usable(state: &State) -> bool {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(&state.site.load().data_dir, access).is_ok()
        && state.registry.blobs().disk().is_ok()
        && !state.registry.blobs().is_degraded()
}

/// Whether a twentieth of the volume is free above the reserve: before that is used up, caches have
/// begun to forget.
fn has_room_to_spare(state: &State) -> bool {
    let (ledger, reserve) = (
        state.registry.ledger(),
        state.site.load().disk_reserve.bytes(),
    );
    let disk = state.registry.blobs().disk();
    disk.is_ok_and(|disk| {
        let above = disk.free_bytes.saturating_sub(reserve);
        ledger.disk_deficit() == 0 && above >= disk.total_bytes / 20
    })
}

fn view(services: BTreeMap<&'static str, bool>) -> Response {
    let status = match services.values().all(|works| *works) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let view = HealthView {
        data: HealthData { services },
        status_code: status.as_u16(),
    };
    response::json(status, &view)
}
