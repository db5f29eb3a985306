//! Whether the site works: in Quay's shape for its monitors, and as plain probes.
//!
//! `/livez` says that requests are answered at all, `/readyz` that content can be served. An upstream
//! that is down makes neither fail: what is held is served without it (LC-02). The names of the
//! services are Quay's; those that are no process of their own here cannot fail by themselves. Superusers
//! are told more; who is none, or shows credentials that are wrong, gets the answer that everybody gets.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode, header};
use rustix::fs::Access;
use serde::Serialize;

use crate::api::headers;
use crate::api::state::State;
use crate::auth::Presented;
use crate::http::{AccessLevel, Exchange, Response, response};

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
    #[serde(flatten)]
    detail: Option<Detail>,
}

/// What superusers are told (Quay).
#[derive(Serialize)]
struct Detail {
    services_expanded: BTreeMap<&'static str, Expanded>,
    notes: Vec<&'static str>,
    is_testing: bool,
    config_provider: &'static str,
    /// No key of this server's own stands among those of services.
    local_service_key_id: &'static str,
    hostname: String,
}

#[derive(Serialize)]
struct Expanded {
    status: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
}

impl Detail {
    fn of(services: &BTreeMap<&'static str, bool>) -> Self {
        let expand = |(name, works): (&&'static str, &bool)| {
            let failure = (!works).then(|| failure(name));
            let status = *works;
            (*name, Expanded { status, failure })
        };
        let hostname = rustix::system::uname();
        Self {
            services_expanded: services.iter().map(expand).collect(),
            notes: Vec::new(),
            is_testing: false,
            config_provider: "file",
            local_service_key_id: "",
            hostname: hostname.nodename().to_string_lossy().into_owned(),
        }
    }
}

fn failure(service: &str) -> &'static str {
    match service {
        "database" => "The store does not answer, or its disk has failed",
        "storage" => "The data directory cannot be read and written",
        "disk_space" => "There is less free space than DISK_RESERVE",
        "disk_space_warning" => "Less than a twentieth of the volume is free above DISK_RESERVE",
        _ => "It does not work",
    }
}

/// Answers a probe; the status is 200 or 503.
pub(in crate::api) async fn probe(
    state: &State,
    probe: Probe,
    asked: (&Exchange, &HeaderMap),
) -> Response {
    let mut answer = match probe {
        Probe::Instance | Probe::EndToEnd | Probe::Warning => {
            let services = services(state, probe).await;
            let is_told = is_superuser(state, asked).await;
            view(services, is_told)
        }
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

/// Whether a superuser asks, by a session, a token, or name and password.
async fn is_superuser(state: &State, (exchange, headers): (&Exchange, &HeaderMap)) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let presented = Presented {
        authorization: text(header::AUTHORIZATION),
        cookie: text(header::COOKIE),
        address: exchange.client.ip(),
        basic: true,
    };
    if presented.authorization.is_none() && presented.cookie.is_none() {
        return false;
    }
    let caller = state.auth.caller(&presented).await;
    caller.is_ok_and(|caller| caller.is_superuser())
}

async fn services(state: &State, probe: Probe) -> BTreeMap<&'static str, bool> {
    if probe == Probe::Warning {
        return BTreeMap::from([("disk_space_warning", has_room_to_spare(state))]);
    }
    let mut services = BTreeMap::from([
        ("database", store_answers(state).await),
        ("storage", is_storage_usable(state).await),
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

/// Whether the data directory can be read and written, and has taken every sync so far (DK-05, DK-10).
async fn is_storage_usable(state: &State) -> bool {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(&state.site.load().data_dir, access).is_ok()
        && state.registry.store().takes_writes().await
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

fn view(services: BTreeMap<&'static str, bool>, is_told: bool) -> Response {
    let status = match services.values().all(|works| *works) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let view = HealthView {
        data: HealthData {
            detail: is_told.then(|| Detail::of(&services)),
            services,
        },
        status_code: status.as_u16(),
    };
    response::json(status, &view)
}
