//! Organisations: made, shown, changed, deleted (`quay-api` section 13).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Answer, Rows};
use super::view::{Avatar, AvatarSubject, QuotaPart};
use super::{json, loose};
use crate::accounts::{self, NewOrganization, Noun, OrganizationChange};
use crate::auth::{NamespacePermits, Need, Part, Scope};
use crate::http::response;
use crate::model::{Member, NamespaceId, NamespaceName, NamespaceRecord, TeamRecord};
use crate::proxy::{Cache, GivenBy};

const ONE: &str = "/api/v1/organization/{orgname}";

/// Teams read in one go.
const PAGE: usize = 500;

#[derive(Deserialize, ToSchema)]
struct NewOrganizationBody {
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    contact_email: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct OrganizationBody {
    #[serde(deserialize_with = "loose::nullable")]
    email: Option<Option<String>>,
    #[serde(deserialize_with = "loose::nullable")]
    contact_email: Option<Option<String>>,
    #[serde(deserialize_with = "loose::truth")]
    invoice_email: Option<bool>,
    #[serde(deserialize_with = "loose::nullable")]
    invoice_email_address: Option<Option<String>>,
    #[serde(deserialize_with = "loose::number")]
    tag_expiration_s: Option<u64>,
}

/// An organisation; who is no member sees its name and whether there is more.
#[derive(Serialize, ToSchema)]
struct OrganizationView {
    name: String,
    email: String,
    avatar: Avatar,
    is_admin: bool,
    is_member: bool,
    /// By name, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    teams: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordered_teams: Option<Vec<String>>,
    #[serde(flatten)]
    settings: Option<SettingsView>,
    #[serde(flatten)]
    quota: Option<QuotaPart>,
}

/// What admins see.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingsView {
    invoice_email: bool,
    invoice_email_address: Option<String>,
    tag_expiration_s: u64,
    is_free_account: bool,
}

#[derive(Serialize, ToSchema)]
struct TeamView {
    name: String,
    description: String,
    role: &'static str,
    avatar: Avatar,
    can_view: bool,
    repo_count: u64,
    member_count: u64,
    is_synced: bool,
}

pub(super) fn routes(rows: &mut Rows) {
    let need = Need::User(Scope::UserAdmin);
    rows.post(
        "/api/v1/organization/",
        "createOrganization",
        "organization",
        need,
        create,
    )
    .summary("Makes an organisation, which the user administers")
    .body::<NewOrganizationBody>()
    .answer::<String>(201, "Made")
    .status(
        400,
        "The name is taken or has no form, or the address is not free",
    );
    rows.get(ONE, "getOrganization", "organization", Need::Anyone, show)
        .summary("Shows an organisation")
        .answer::<OrganizationView>(200, "The organisation, as far as the caller may see it")
        .status(404, "There is none");
    let admin = Need::Organization(Part::Admin);
    rows.put(
        ONE,
        "changeOrganizationDetails",
        "organization",
        admin,
        change,
    )
    .summary("Changes what is told of an organisation")
    .body::<OrganizationBody>()
    .answer::<OrganizationView>(200, "The organisation as it is now")
    .status(400, "An address has no form, or is a user's");
    rows.delete(
        ONE,
        "deleteAdminedOrganization",
        "organization",
        admin,
        delete,
    )
    .summary("Deletes an organisation with all that is in it")
    .fresh()
    .status(204, "Deleted");
}

async fn create(context: Context) -> Answer {
    let features = context.state.features;
    let (owner, _) = context.user()?;
    let superusers_only = features.superusers_org_creation_only;
    let is_superuser = context.caller.is_superuser();
    if !is_superuser && (superusers_only || context.caller.identity.is_restricted()) {
        return Err(ApiError::forbidden());
    }
    let body: NewOrganizationBody = context.body()?;
    let email = body.contact_email.or(body.email);
    let email = email.filter(|email| !email.is_empty());
    if features.mailing && email.is_none() {
        return Err(ApiError::invalid("Email address is required"));
    }
    let name = accounts::namespace_name(Noun::Organization, &body.name)?;
    let new = NewOrganization {
        name,
        email,
        owner: Some(owner),
        by: context.performer(),
    };
    let made = context.state.accounts.create_organization(new).await;
    made.map_err(|error| match error {
        accounts::Error::NameTaken { .. } => {
            ApiError::invalid("A user or organization with this name already exists")
        }
        accounts::Error::Exists { name, .. } => {
            ApiError::invalid(format!("Email has already been used: {name}"))
        }
        accounts::Error::Invalid { .. } => ApiError::invalid("Invalid email address"),
        error => error.into(),
    })?;
    Ok(json::spaced(StatusCode::CREATED, &"Created"))
}

async fn show(context: Context) -> Answer {
    let name = context.parsed::<NamespaceName>("orgname")?;
    let found = context.state.accounts.organization(&name).await?;
    let (id, record) = found.ok_or_else(ApiError::not_found)?;
    let view = view(&context, id, record).await?;
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn change(context: Context) -> Answer {
    let subject = context.organization();
    let body: OrganizationBody = context.body()?;
    let features = context.state.features;
    let wanted = body
        .tag_expiration_s
        .filter(|_| features.change_tag_expiration);
    if let Some(seconds) = wanted {
        let options = &context.state.registry.rules().time_machines;
        if !options.iter().any(|option| option.as_secs() == seconds) {
            return Err(ApiError::refused("Invalid tag expiration option"));
        }
    }
    let set = |text: Option<Option<String>>| text.map(|it| it.filter(|it| !it.is_empty()));
    let change = OrganizationChange {
        email: set(body.contact_email).or_else(|| set(body.email)),
        invoice_email: body.invoice_email,
        invoice_email_address: set(body.invoice_email_address),
        tag_expiration_s: wanted,
    };
    let (accounts, by) = (&context.state.accounts, context.performer());
    let changed = accounts.change_organization(subject.namespace, &change, &by);
    let record = changed.await.map_err(|error| match error {
        accounts::Error::Exists { .. } => ApiError::invalid("E-mail address already used"),
        accounts::Error::Invalid { .. } => ApiError::invalid("Invalid email address"),
        error => error.into(),
    })?;
    let view = view(&context, subject.namespace, record).await?;
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let subject = context.organization();
    let name = &subject.record.name;
    let mut caches = context.state.proxy.caches().into_iter();
    let is_configured =
        |cache: &Cache| cache.given == GivenBy::Configuration && cache.rule.organization == *name;
    if caches.any(|cache| is_configured(&cache)) {
        return Err(ApiError::refused(format!(
            "{name} is a cache that the configuration file names; remove it from PROXY_CACHES there"
        )));
    }
    let by = context.performer();
    let accounts = &context.state.accounts;
    accounts.delete_namespace(subject.namespace, &by).await?;
    recall_caches(&context).await?;
    Ok(response::no_content())
}

/// Has the caches made by the API be those of the organisations that there are, under their names.
pub(super) async fn recall_caches(context: &Context) -> Result<(), ApiError> {
    let recalled = context.state.proxy.recall_made().await;
    recalled.map_err(|error| ApiError::failed(&error))
}

/// The organisation as the caller may see it.
async fn view(
    context: &Context,
    id: NamespaceId,
    record: NamespaceRecord,
) -> Result<OrganizationView, ApiError> {
    let (state, identity) = (&context.state, &context.caller.identity);
    let permits = state.auth.in_namespace(identity, id, record.kind).await?;
    let sees_teams = permits.is_member() || permits.may_view();
    let teams = match sees_teams {
        true => Some(teams(context, id, permits).await?),
        false => None,
    };
    let ordered_teams = teams
        .as_ref()
        .map(|teams| teams.keys().cloned().collect::<Vec<_>>());
    let settings = permits.is_admin().then(|| settings(context, &record));
    let email = match permits.may_view() {
        true => record.email.clone().unwrap_or_default(),
        false => String::new(),
    };
    Ok(OrganizationView {
        // Quay: the page of an organisation shows it like a user.
        avatar: Avatar::of_organization(state.web.avatars, AvatarSubject::User, &record),
        name: record.name.to_string(),
        email,
        is_admin: permits.is_admin(),
        is_member: permits.is_member(),
        teams,
        ordered_teams,
        settings,
        quota: match permits.is_member() {
            true => QuotaPart::of(state, id),
            false => None,
        },
    })
}

pub(super) fn settings(context: &Context, record: &NamespaceRecord) -> SettingsView {
    let default = context.state.registry.rules().time_machine.as_secs();
    SettingsView {
        invoice_email: record.invoice_email,
        invoice_email_address: record.invoice_email_address.clone(),
        tag_expiration_s: record.tag_expiration_s.unwrap_or(default),
        is_free_account: true,
    }
}

async fn teams(
    context: &Context,
    id: NamespaceId,
    permits: NamespacePermits,
) -> Result<Map<String, Value>, ApiError> {
    let accounts = &context.state.accounts;
    let own = match context.caller.user() {
        Some((user, _)) => accounts.teams_of(Member::User(user), id).await?,
        None => Vec::new(),
    };
    let mut views = Map::new();
    let mut after = None;
    loop {
        let page = accounts.list_teams_by_age(id, after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(views);
        };
        after = Some(*last);
        for (team, record) in page {
            let is_own = own.iter().any(|(own, _)| *own == team);
            let view = team_view(context, record, permits.may_view() || is_own);
            views.insert(view.name.clone(), json!(view));
        }
    }
}

fn team_view(context: &Context, record: TeamRecord, can_view: bool) -> TeamView {
    TeamView {
        avatar: Avatar::of_team(context.state.web.avatars, &record.name),
        name: record.name,
        description: record.description,
        role: record.role.as_str(),
        can_view,
        repo_count: record.repositories,
        member_count: record.members,
        is_synced: false,
    }
}
