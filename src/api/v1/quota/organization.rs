//! Quotas of organisations.

use ::http::StatusCode;

use super::{
    GROUP, LimitBody, LimitList, NewLimitBody, NewQuotaBody, QuotaBody, QuotaList, SWITCH, created,
    failed, kind, limit_of, limits, list, own, show,
};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json;
use crate::api::v1::rows::{Answer, Rows};
use crate::api::v1::view::{LimitView, QuotaView};
use crate::auth::{Need, Part};
use crate::http::response;
use crate::model::{NamespaceId, NamespaceKind, NamespaceName};
use crate::registry::QuotaEditor;

const ALL: &str = "/api/v1/organization/{orgname}/quota";
const ONE: &str = "/api/v1/organization/{orgname}/quota/{quota_id}";
const LIMITS: &str = "/api/v1/organization/{orgname}/quota/{quota_id}/limit";
const LIMIT: &str = "/api/v1/organization/{orgname}/quota/{quota_id}/limit/{limit_id}";

const MEMBER: Need = Need::Organization(Part::Member);

/// Who administers an organisation does not decide how much of the site it takes.
const CHANGE: Need = Need::Superuser;

pub(super) fn routes(rows: &mut Rows) {
    of_quotas(rows);
    of_limits(rows);
}

fn of_quotas(rows: &mut Rows) {
    rows.get(ALL, "listOrganizationQuota", GROUP, MEMBER, list_quotas)
        .summary("Lists the quota of the organization: none or one")
        .switch(SWITCH)
        .answer::<QuotaList>(200, "The quota, or the default of all");
    rows.post(ALL, "createOrganizationQuota", GROUP, CHANGE, create)
        .summary("Gives the organization a quota")
        .switch(SWITCH)
        .body::<NewQuotaBody>()
        .answer::<String>(201, "Created")
        .status(400, "It has one, or the size is none")
        .status(404, "There is no such organization");
    rows.get(ONE, "getOrganizationQuota", GROUP, MEMBER, show_quota)
        .summary("Shows the quota of the organization")
        .switch(SWITCH)
        .answer::<QuotaView>(200, "The quota");
    rows.put(ONE, "changeOrganizationQuota", GROUP, CHANGE, change)
        .summary("Changes how much the organization may hold")
        .switch(SWITCH)
        .body::<QuotaBody>()
        .answer::<QuotaView>(200, "The quota as it is now")
        .status(400, "The size is none, or there is a further key")
        .status(404, "There is no such quota");
    rows.delete(ONE, "deleteOrganizationQuota", GROUP, CHANGE, delete)
        .summary("Removes the quota of the organization with its limits")
        .switch(SWITCH)
        .status(204, "It is gone")
        .status(400, "The configuration file says what this cache may hold")
        .status(404, "There is no such quota");
}

fn of_limits(rows: &mut Rows) {
    rows.get(
        LIMITS,
        "listOrganizationQuotaLimit",
        GROUP,
        MEMBER,
        list_limits,
    )
    .summary("Lists the limits of a quota")
    .switch(SWITCH)
    .answer::<LimitList>(200, "The limits, the lowest first");
    rows.post(
        LIMITS,
        "createOrganizationQuotaLimit",
        GROUP,
        CHANGE,
        create_limit,
    )
    .summary("Adds a limit to a quota")
    .switch(SWITCH)
    .body::<NewLimitBody>()
    .answer::<String>(201, "Created")
    .status(400, "There is such a limit, or it is none")
    .status(404, "There is no such quota");
    rows.get(
        LIMIT,
        "getOrganizationQuotaLimit",
        GROUP,
        MEMBER,
        show_limit,
    )
    .summary("Shows a limit of a quota")
    .switch(SWITCH)
    .answer::<LimitView>(200, "The limit");
    rows.put(
        LIMIT,
        "changeOrganizationQuotaLimit",
        GROUP,
        CHANGE,
        change_limit,
    )
    .summary("Changes a limit of a quota")
    .switch(SWITCH)
    .body::<LimitBody>()
    .answer::<QuotaView>(200, "The whole quota as it is now")
    .status(400, "There is such a limit, or it is none")
    .status(404, "There is no such limit");
    rows.delete(
        LIMIT,
        "deleteOrganizationQuotaLimit",
        GROUP,
        CHANGE,
        delete_limit,
    )
    .summary("Removes a limit of a quota")
    .switch(SWITCH)
    .status(204, "It is gone")
    .status(404, "There is no such limit");
}

async fn list_quotas(context: Context) -> Answer {
    list(&context, context.organization().namespace)
}

async fn show_quota(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    own(&context, namespace)?;
    show(&context, namespace, StatusCode::OK)
}

async fn list_limits(context: Context) -> Answer {
    limits(&own(&context, context.organization().namespace)?)
}

async fn show_limit(context: Context) -> Answer {
    let quota = own(&context, context.organization().namespace)?;
    let limit = limit_of(&context, &quota)?;
    Ok(json::spaced(StatusCode::OK, &LimitView::of(&limit)))
}

async fn create(context: Context) -> Answer {
    let (namespace, name) = named(&context).await?;
    let bytes = context.body::<NewQuotaBody>()?.bytes()?;
    let by = QuotaEditor::Logged(context.performer());
    let made = context.state.registry.make_quota(namespace, bytes, &by);
    made.await
        .map_err(|error| failed(error, "Organization quota", name.as_str(), bytes))?;
    created()
}

async fn change(context: Context) -> Answer {
    let (namespace, name) = named(&context).await?;
    let quota = own(&context, namespace)?;
    if let Some(bytes) = context.body::<QuotaBody>()?.bytes()? {
        let by = QuotaEditor::Logged(context.performer());
        let registry = &context.state.registry;
        let changed = registry.change_quota(namespace, quota.id, bytes, &by);
        changed
            .await
            .map_err(|error| failed(error, "Organization quota", name.as_str(), bytes))?;
    }
    show(&context, namespace, StatusCode::OK)
}

async fn delete(context: Context) -> Answer {
    let (namespace, _) = named(&context).await?;
    let quota = own(&context, namespace)?;
    let by = QuotaEditor::Logged(context.performer());
    let registry = &context.state.registry;
    registry.remove_quota(namespace, quota.id, &by).await?;
    Ok(response::no_content())
}

async fn create_limit(context: Context) -> Answer {
    let (namespace, _) = named(&context).await?;
    let quota = own(&context, namespace)?;
    let body: NewLimitBody = context.body()?;
    let (kind, percent) = (kind(&body.kind)?, body.threshold_percent);
    let percent = percent.ok_or_else(|| ApiError::invalid("threshold_percent is required"))?;
    let by = QuotaEditor::Logged(context.performer());
    let registry = &context.state.registry;
    registry
        .make_limit(namespace, quota.id, kind, percent, &by)
        .await?;
    created()
}

async fn change_limit(context: Context) -> Answer {
    let (namespace, _) = named(&context).await?;
    let quota = own(&context, namespace)?;
    let limit = limit_of(&context, &quota)?;
    let body: LimitBody = context.body()?;
    let kind = body.kind.as_deref().map(kind).transpose()?;
    let by = QuotaEditor::Logged(context.performer());
    let change = (kind, body.threshold_percent);
    let registry = &context.state.registry;
    registry
        .change_limit(namespace, (quota.id, limit.id), change, &by)
        .await?;
    show(&context, namespace, StatusCode::OK)
}

async fn delete_limit(context: Context) -> Answer {
    let (namespace, _) = named(&context).await?;
    let quota = own(&context, namespace)?;
    let limit = limit_of(&context, &quota)?;
    let by = QuotaEditor::Logged(context.performer());
    let registry = &context.state.registry;
    registry
        .remove_limit(namespace, (quota.id, limit.id), &by)
        .await?;
    Ok(response::no_content())
}

/// The organisation of the path, which a superuser need not be in.
async fn named(context: &Context) -> Result<(NamespaceId, NamespaceName), ApiError> {
    let name: NamespaceName = context.parsed("orgname")?;
    let found = context.state.registry.namespace(&name).await?;
    let found = found.filter(|(_, record)| !matches!(record.kind, NamespaceKind::User(_)));
    let (id, _) = found.ok_or_else(ApiError::not_found)?;
    Ok((id, name))
}
