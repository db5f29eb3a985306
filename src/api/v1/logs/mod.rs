//! The usage log of repositories, users, organisations, and of everything (`quay-api` section 30).
//!
//! Lines come newest first, 20 a page, with `next_page` where there are more. Counts come one row a kind
//! and day. A line that stands for more than one act (`notify`: equal pulls of a minute) has `count` in
//! its metadata; counts hold all of them.

mod view;
mod window;

use ::http::StatusCode;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, ParameterKind, Row, Rows};
use crate::auth::{Need, Part, Scope};
use crate::model::{LogFilter, LogPlace, LogScope, Role};
use view::{AggregateView, CountView, LogView, LogsView};
use window::Window;

const GROUP: &str = "logs";

/// Lines of a page (Quay: `LOGS_PER_PAGE`).
const PAGE: usize = 20;

/// The rows of this resource.
pub(super) fn routes(rows: &mut Rows) {
    let admin = Need::Repository(Role::Admin);
    let owner = Need::Organization(Part::Admin);
    let user = Need::User(Scope::UserAdmin);
    let path = "/api/v1/repository/{repository+}/logs";
    lists(rows.get(path, "listRepoLogs", GROUP, admin, list_repository));
    let path = "/api/v1/repository/{repository+}/aggregatelogs";
    let row = rows.get(path, "getAggregateRepoLogs", GROUP, admin, count_repository);
    counts(row).switch(|features| features.aggregated_log_count_retrieval);
    let path = "/api/v1/user/logs";
    lists(rows.get(path, "listUserLogs", GROUP, user, list_user));
    let path = "/api/v1/user/aggregatelogs";
    let row = rows.get(path, "getAggregateUserLogs", GROUP, user, count_user);
    counts(row).switch(|features| features.aggregated_log_count_retrieval);
    let path = "/api/v1/organization/{orgname}/logs";
    lists(rows.get(path, "listOrgLogs", GROUP, owner, list_organization));
    let path = "/api/v1/organization/{orgname}/aggregatelogs";
    let row = rows.get(
        path,
        "getAggregateOrgLogs",
        GROUP,
        owner,
        count_organization,
    );
    counts(row).switch(|features| features.aggregated_log_count_retrieval);
    let (path, group) = ("/api/v1/superuser/logs", "superuser");
    lists(rows.get(path, "listAllLogs", group, Need::Superuser, list_all))
        .fresh()
        .switch(|features| features.super_users);
    let path = "/api/v1/superuser/aggregatelogs";
    let row = rows.get(
        path,
        "listAllAggregateLogs",
        group,
        Need::Superuser,
        count_all,
    );
    counts(row)
        .fresh()
        .internal()
        .switch(|features| features.super_users);
}

fn lists(row: &mut Row) -> &mut Row {
    told(row)
        .summary("Lists lines of the usage log, the newest first.")
        .query(
            "next_page",
            ParameterKind::Text,
            "Where the next page begins",
        )
        .answer::<LogsView>(200, "A page of lines")
}

fn counts(row: &mut Row) -> &mut Row {
    told(row)
        .summary("Counts lines of the usage log by kind and day.")
        .answer::<AggregateView>(200, "The counts")
}

fn told(row: &mut Row) -> &mut Row {
    row.query(
        "starttime",
        ParameterKind::Text,
        "First day, MM/DD/YYYY in UTC",
    )
    .query(
        "endtime",
        ParameterKind::Text,
        "Last day, MM/DD/YYYY in UTC",
    )
    .query(
        "performer",
        ParameterKind::Text,
        "Only what this user or robot did",
    )
    .status(400, "The last day is before the first, or too far from it")
}

async fn list_repository(context: Context) -> Answer {
    let scope = LogScope::Repository(context.repository().repository);
    list(&context, Some(scope)).await
}

async fn count_repository(context: Context) -> Answer {
    let scope = LogScope::Repository(context.repository().repository);
    count(&context, Some(scope)).await
}

async fn list_organization(context: Context) -> Answer {
    let scope = LogScope::Namespace(context.organization().namespace);
    list(&context, Some(scope)).await
}

async fn count_organization(context: Context) -> Answer {
    let scope = LogScope::Namespace(context.organization().namespace);
    count(&context, Some(scope)).await
}

async fn list_user(context: Context) -> Answer {
    let scope = own(&context).await?;
    list(&context, Some(scope)).await
}

async fn count_user(context: Context) -> Answer {
    let scope = own(&context).await?;
    count(&context, Some(scope)).await
}

async fn list_all(context: Context) -> Answer {
    list(&context, None).await
}

async fn count_all(context: Context) -> Answer {
    count(&context, None).await
}

/// The namespace of who asks.
async fn own(context: &Context) -> Result<LogScope, ApiError> {
    let (_, name) = context.user()?;
    let found = context.state.registry.namespace(name).await?;
    let (namespace, _) = found.ok_or_else(ApiError::not_found)?;
    Ok(LogScope::Namespace(namespace))
}

async fn list(context: &Context, scope: Option<LogScope>) -> Answer {
    let window = Window::of(context)?;
    let tokens = context.state.page_tokens();
    let listing = format!("logs/{scope:?}");
    let after = context.query().value("next_page");
    let after: Option<LogPlace> = after.and_then(|token| tokens.read(&listing, &token));
    let audit = &context.state.audit;
    let filter = filter(context, scope, &window);
    let page = audit.list(filter, after, PAGE).await?;
    let avatars = context.state.web.avatars;
    // Quay: only where lines of many namespaces stand together.
    let is_everything = scope.is_none();
    let lines = page.lines.into_iter();
    let logs = lines.map(|line| LogView::new(line, is_everything, avatars));
    let view = LogsView {
        start_time: window.start_time(),
        end_time: window.end_time(),
        logs: logs.collect(),
        next_page: page.next.map(|place| tokens.make(&listing, &place)),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn count(context: &Context, scope: Option<LogScope>) -> Answer {
    let window = Window::of(context)?;
    window.check_length()?;
    let audit = &context.state.audit;
    let filter = filter(context, scope, &window);
    let counts = audit.aggregate(filter).await?;
    let aggregated = counts.into_iter().map(CountView::from).collect();
    Ok(json::spaced(StatusCode::OK, &AggregateView { aggregated }))
}

fn filter(context: &Context, scope: Option<LogScope>, window: &Window) -> LogFilter {
    LogFilter {
        scope,
        performer: context.text("performer").map(std::borrow::Cow::into_owned),
        since: window.since,
        until: window.until,
    }
}
