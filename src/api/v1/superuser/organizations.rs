//! `/api/v1/superuser/organizations` and `takeownership`: everybody's organisations.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::users::refuse_superuser;
use super::{Window, guarded};
use crate::accounts::{Noun, namespace_name};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json as write;
use crate::api::v1::organization::recall_caches;
use crate::api::v1::rows::{Answer, ParameterKind, Rows};
use crate::api::v1::view::{Avatar, AvatarSubject, QuotaPart};
use crate::auth::Need;
use crate::http::response;
use crate::model::{NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord};
use crate::proxy::GivenBy;

const ALL: &str = "/api/v1/superuser/organizations/";
const ONE: &str = "/api/v1/superuser/organizations/{name}";
const OWNERSHIP: &str = "/api/v1/superuser/takeownership/{namespace}";

const LISTING: &str = "superuser/organizations";

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("superuser", Need::Superuser);
    guarded(rows.get(ALL, "listAllOrganizations", group, need, list))
        .summary("List the organizations for the current system.")
        .internal()
        .query(
            "limit",
            ParameterKind::Number,
            "Organizations of a page, at most 100",
        )
        .query("next_page", ParameterKind::Text, "The page's token")
        .answer::<OrganizationsView>(200, "The organizations");
    guarded(rows.put(ONE, "changeOrganization", group, need, change))
        .summary("Updates information about the specified organization: its name.")
        .body::<ChangeBody>()
        .answer::<OrganizationView>(200, "The organization");
    guarded(rows.delete(ONE, "deleteOrganization", group, need, delete))
        .summary("Deletes the specified organization.")
        .status(204, "Deleted");
    guarded(rows.post(OWNERSHIP, "takeOwnership", group, need, take))
        .summary("Takes ownership of the specified organization or user.")
        .internal()
        .status(200, "The caller rules the namespace");
}

/// An organisation, as superusers see one.
#[derive(Serialize, ToSchema)]
struct OrganizationView {
    name: String,
    /// Its address, or the id that stands for one it never had (Quay): always text.
    email: String,
    avatar: Avatar,
    #[serde(flatten)]
    quota: Option<QuotaPart>,
}

#[derive(Serialize, ToSchema)]
struct OrganizationsView {
    organizations: Vec<OrganizationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

/// Only the name is changed here; the fields that the guide shows beside it are not looked at (Quay).
#[derive(Deserialize, ToSchema)]
struct ChangeBody {
    name: Option<String>,
}

async fn list(context: Context) -> Answer {
    let window = Window::of(&context, LISTING)?;
    let accounts = &context.state.accounts;
    let (mut after, mut found) = (window.after.map(NamespaceId), Vec::new());
    while window.wanted(found.len()) > 0 {
        let wanted = window.wanted(found.len());
        let page = accounts.list_organizations(after, wanted).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let views = page.into_iter();
        found.extend(views.map(|(id, record)| (id.0, view(&context, id, &record))));
    }
    let next_page = window.cut(&context, LISTING, &mut found);
    let organizations = found.into_iter().map(|(_, view)| view).collect();
    let view = OrganizationsView {
        organizations,
        next_page,
    };
    Ok(write::spaced(StatusCode::OK, &view))
}

async fn change(context: Context) -> Answer {
    let (id, mut record) = named(&context, "name").await?;
    let body: ChangeBody = context.body()?;
    if let Some(wanted) = body.name.filter(|name| *name != record.name.as_str()) {
        refuse_configured(&context, &record.name)?;
        let wanted = namespace_name(Noun::Organization, &wanted)?;
        let (accounts, by) = (&context.state.accounts, context.performer());
        accounts.rename_namespace(id, &wanted, &by).await?;
        recall_caches(&context).await?;
        record.name = wanted;
    }
    let view = view(&context, id, &record);
    Ok(write::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let (id, record) = named(&context, "name").await?;
    refuse_configured(&context, &record.name)?;
    let by = context.performer();
    context.state.accounts.delete_namespace(id, &by).await?;
    recall_caches(&context).await?;
    Ok(response::no_content())
}

async fn take(context: Context) -> Answer {
    let name: NamespaceName = context.parsed("namespace")?;
    let (owner, _) = context.user()?;
    let accounts = &context.state.accounts;
    let found = accounts.namespace(&name).await?;
    let (id, record) = found.ok_or_else(ApiError::not_found)?;
    if let NamespaceKind::User(user) = record.kind {
        let account = accounts.user(user).await?;
        let account = account.ok_or_else(ApiError::not_found)?;
        refuse_superuser(
            &context,
            user,
            &account,
            "Cannot take ownership of a superuser",
        )?;
    }
    let by = context.performer();
    accounts.take_ownership(id, owner, &by).await?;
    let view = json!({ "namespace": name });
    Ok(write::compact(StatusCode::OK, &view))
}

/// The organisation that the path names.
pub(super) async fn named(
    context: &Context,
    parameter: &str,
) -> Result<(NamespaceId, NamespaceRecord), ApiError> {
    let name: NamespaceName = context.parsed(parameter)?;
    let found = context.state.accounts.organization(&name).await?;
    found.ok_or_else(ApiError::not_found)
}

/// What the configuration names is there again after the next start.
fn refuse_configured(context: &Context, name: &NamespaceName) -> Result<(), ApiError> {
    let mut caches = context.state.proxy.caches().into_iter();
    let is_configured = caches
        .any(|cache| cache.given == GivenBy::Configuration && cache.rule.organization == *name);
    match is_configured {
        true => Err(ApiError::refused(format!(
            "{name} is a cache that the configuration file names; change PROXY_CACHES there"
        ))),
        false => Ok(()),
    }
}

fn view(context: &Context, id: NamespaceId, record: &NamespaceRecord) -> OrganizationView {
    let name = record.name.as_str();
    let avatars = context.state.web.avatars;
    OrganizationView {
        name: name.to_owned(),
        email: record.email.clone().unwrap_or_else(|| record.uuid.clone()),
        avatar: Avatar::new(
            avatars,
            AvatarSubject::Organization,
            name,
            record.avatar_seed(),
        ),
        quota: QuotaPart::of(&context.state, id),
    }
}
