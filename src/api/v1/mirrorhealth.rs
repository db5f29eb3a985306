//! How it stands with mirrors, for those who watch them (`quay-api` section 23).

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::{Flag, Number, Text};
use super::rows::{Answer, Rows, Switch};
use super::view::iso;
use crate::auth::{Need, Scope};
use crate::mirror::{Lines, MirrorHealth, MirrorIssue, MirrorLine};
use crate::model::{NamespaceId, NamespaceName};

const SWITCH: Switch = |features| features.repo_mirror;

/// Mirrors on a page unless asked otherwise, and at most (Quay).
const PAGE: u64 = 100;
const LARGEST_PAGE: u64 = 1_000;

pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        "/api/v1/repository/mirror/health",
        "getRepositoryMirrorHealth",
        "mirrorhealth",
        Need::User(Scope::RepoAdmin),
        of_namespace,
    )
    .summary("Tells how it stands with the mirrors of a namespace; superusers may ask for all")
    .switch(SWITCH)
    .fresh()
    .query("namespace", Text, "those of this user or organisation")
    .query("detailed", Flag, "tell the mirrors one by one")
    .query("limit", Number, "1 to 1000")
    .query("offset", Number, "how many are left out")
    .answer::<HealthView>(200, "Nothing is wrong with mirroring as a whole")
    .answer::<HealthView>(503, "Too many mirrors fail, or nothing copies them")
    .status(401, "Nobody may know")
    .status(403, "The caller may not know");
    rows.get(
        "/api/v1/superuser/mirror/health",
        "getSuperUserRepositoryMirrorHealth",
        "superuser",
        Need::Superuser,
        of_all,
    )
    .summary("Tells how it stands with all mirrors, without their names")
    .switch(SWITCH)
    .switch(|features| features.super_users)
    .fresh()
    .answer::<HealthView>(200, "Nothing is wrong with mirroring as a whole")
    .answer::<HealthView>(503, "Too many mirrors fail, or nothing copies them");
}

#[derive(Serialize, ToSchema)]
struct HealthView {
    healthy: bool,
    workers: WorkersView,
    repositories: RepositoriesView,
    tags_pending: u64,
    last_check: String,
    issues: Vec<IssueView>,
}

#[derive(Serialize, ToSchema)]
struct WorkersView {
    active: usize,
    configured: usize,
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct RepositoriesView {
    total: usize,
    syncing: usize,
    completed: usize,
    failed: usize,
    never_run: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Vec<DetailView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<PaginationView>,
}

#[derive(Serialize, ToSchema)]
struct DetailView {
    namespace: String,
    repository: String,
    sync_status: &'static str,
    is_enabled: bool,
    last_sync: Option<String>,
    retries_remaining: u8,
}

#[derive(Serialize, ToSchema)]
struct PaginationView {
    limit: usize,
    offset: usize,
    has_more: bool,
}

#[derive(Serialize, ToSchema)]
struct IssueView {
    severity: &'static str,
    message: String,
    timestamp: String,
}

async fn of_namespace(context: Context) -> Answer {
    let namespace = namespace(&context).await?;
    let limit = context.number("limit", PAGE, 1..=LARGEST_PAGE)?;
    let offset = context.number("offset", 0, 0..=u64::from(u32::MAX))?;
    let lines = context.flag("detailed", false).then(|| Lines {
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
    });
    let health = context.state.mirror.health(namespace, lines).await?;
    Ok(answer(&context, health, lines, true))
}

async fn of_all(context: Context) -> Answer {
    let health = context.state.mirror.health(None, None).await?;
    Ok(answer(&context, health, None, false))
}

/// The namespace that is asked for, where the caller belongs; none for superusers.
async fn namespace(context: &Context) -> Result<Option<NamespaceId>, ApiError> {
    let caller = &context.caller;
    let sees_all = caller.is_superuser() || caller.identity.is_global_readonly();
    let Some(name) = context.text("namespace") else {
        return match sees_all {
            true => Ok(None),
            false => Err(context.refusal()),
        };
    };
    let name: Result<NamespaceName, _> = name.parse();
    let found = match &name {
        Ok(name) => context.state.registry.namespace(name).await?,
        Err(_) => None,
    };
    // What there is not is refused as what is not the caller's (AZ-01).
    let (id, record) = found.ok_or_else(|| context.refusal())?;
    let permits = context
        .state
        .auth
        .in_namespace(&caller.identity, id, record.kind)
        .await?;
    match sees_all || permits.is_member() || permits.is_admin() {
        true => Ok(Some(id)),
        false => Err(context.refusal()),
    }
}

fn answer(
    context: &Context,
    health: MirrorHealth,
    lines: Option<Lines>,
    named: bool,
) -> crate::http::Response {
    let is_healthy = health.is_healthy();
    let now = iso(context.now());
    let (active, configured) = health.lanes;
    let issue = |issue: &MirrorIssue| {
        let (severity, message) = told(issue, named);
        IssueView {
            severity,
            message,
            timestamp: now.clone(),
        }
    };
    let view = HealthView {
        healthy: is_healthy,
        workers: WorkersView {
            active,
            configured,
            status: match active < configured {
                true => "degraded",
                false => "healthy",
            },
        },
        tags_pending: health.tags_pending,
        issues: health.issues.iter().map(issue).collect(),
        last_check: now.clone(),
        repositories: RepositoriesView {
            total: health.total,
            syncing: health.syncing,
            completed: health.completed,
            failed: health.failed,
            never_run: health.never_run,
            details: lines.map(|_| health.lines.into_iter().map(detail).collect()),
            pagination: lines.map(|lines| PaginationView {
                limit: lines.limit,
                offset: lines.offset,
                has_more: health.has_more,
            }),
        },
    };
    let status = match is_healthy {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json::spaced(status, &view)
}

fn detail(line: MirrorLine) -> DetailView {
    DetailView {
        namespace: line.namespace,
        repository: line.repository,
        sync_status: line.state.as_str(),
        is_enabled: line.enabled,
        last_sync: line.last_sync.map(iso),
        retries_remaining: line.retries_left,
    }
}

/// How grave an issue is, and what it is; without names for those who look after all.
fn told(issue: &MirrorIssue, named: bool) -> (&'static str, String) {
    let whose = |name: &String| match named {
        true => format!("Repository {name}"),
        false => "A repository".to_owned(),
    };
    match issue {
        MirrorIssue::Failing { failed, ran } => {
            let percent = *failed as f64 * 100.0 / (*ran).max(1) as f64;
            let text = format!("{percent:.1}% of repositories are failing (threshold: 20.0%)");
            ("critical", text)
        }
        MirrorIssue::Lanes { active, configured } => {
            let text = format!("{active} of {configured} mirror workers are active");
            ("critical", text)
        }
        MirrorIssue::Exhausted { name } => (
            "error",
            format!("{} has exhausted all retry attempts", whose(name)),
        ),
        MirrorIssue::Late { name } => (
            "warning",
            format!("{} hasn't synced in over 24 hours", whose(name)),
        ),
    }
}
