//! Completion of names: whom something can be granted to (`quay-api` section 31).
//!
//! Users are found by everybody, as in Quay. Teams, robots and organisations of a namespace are told to who
//! belongs to it.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::{Flag, Text};
use super::rows::{Answer, Rows};
use super::view::{Avatar, AvatarSubject};
use crate::api::state::State;
use crate::auth::Need;
use crate::model::{
    Member, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord, RobotRecord, UserRecord,
};

/// Users and robots that are told (Quay).
const USERS: usize = 10;

/// Teams that are told.
const TEAMS: usize = 10;

#[derive(Serialize, ToSchema)]
struct EntitiesView {
    results: Vec<EntityView>,
}

/// Somebody, or a group, each with its fields in Quay's order.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EntityView {
    /// A user or a robot.
    Person {
        name: String,
        kind: &'static str,
        is_robot: bool,
        avatar: Avatar,
        /// Told within an organization.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_org_member: Option<bool>,
    },
    /// A team, or the organization itself.
    Group {
        name: String,
        kind: &'static str,
        is_org_member: bool,
        avatar: Avatar,
    },
}

/// The namespace that names are completed for.
struct Home {
    id: NamespaceId,
    record: NamespaceRecord,
    is_organization: bool,
    /// The caller belongs to it: a member of the organisation, or the user himself.
    is_ours: bool,
    is_admin: bool,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "search";
    rows.get(
        "/api/v1/entities/{prefix}",
        "getMatchingEntities",
        GROUP,
        Need::Anyone,
        complete,
    )
    .summary("Completes names of users, robots, teams and organizations")
    .query("namespace", Text, "also what belongs to this one")
    .query("includeTeams", Flag, "teams as well")
    .query("includeOrgs", Flag, "the organization as well")
    .answer::<EntitiesView>(200, "Those whose names begin so");
    rows.post(
        "/api/v1/entities/link/{username}",
        "linkExternalUser",
        GROUP,
        Need::Anyone,
        link,
    )
    .summary("Makes an account for somebody whom a login service knows")
    .internal()
    .status(200, "The account")
    .status(404, "No login service has accounts here");
}

/// Nobody is known to other services: there is no federated login.
async fn link(context: Context) -> Answer {
    context.user()?;
    Err(ApiError::not_found())
}

async fn complete(context: Context) -> Answer {
    let prefix = context.parameter("prefix").trim().to_lowercase();
    let (state, home) = (&context.state, home(&context).await?);
    let mut results = Vec::new();
    if !prefix.is_empty() {
        if let Some(home) = &home {
            results.extend(teams(&context, home, &prefix).await?);
        }
        results.extend(users(state, home.as_ref(), &prefix).await?);
        results.extend(
            home.as_ref()
                .and_then(|home| organization(&context, home, &prefix)),
        );
    }
    Ok(json::spaced(StatusCode::OK, &EntitiesView { results }))
}

async fn home(context: &Context) -> Result<Option<Home>, ApiError> {
    let Some(name) = context.text("namespace") else {
        return Ok(None);
    };
    let Ok(name) = name.parse::<NamespaceName>() else {
        return Ok(None);
    };
    let Some((id, record)) = context.state.registry.namespace(&name).await? else {
        return Ok(None);
    };
    let identity = &context.caller.identity;
    let permits = context.state.auth.in_namespace(identity, id, record.kind);
    let permits = permits.await?;
    Ok(Some(Home {
        id,
        is_organization: !matches!(record.kind, NamespaceKind::User(_)),
        is_ours: permits.is_member() || permits.is_admin(),
        is_admin: permits.is_admin(),
        record,
    }))
}

async fn teams(context: &Context, home: &Home, prefix: &str) -> Result<Vec<EntityView>, ApiError> {
    if !home.is_organization || !home.is_ours || !context.flag("includeTeams", false) {
        return Ok(Vec::new());
    }
    let (state, accounts) = (&context.state, &context.state.accounts);
    let found = accounts.teams_beginning(home.id, prefix, TEAMS).await?;
    let views = found.into_iter().map(|team| EntityView::Group {
        kind: "team",
        is_org_member: true,
        avatar: avatar(state, AvatarSubject::Team, &team.name, &team.name),
        name: team.name,
    });
    Ok(views.collect())
}

/// Users, and robots of the namespace where the caller belongs to it.
async fn users(
    state: &State,
    home: Option<&Home>,
    prefix: &str,
) -> Result<Vec<EntityView>, ApiError> {
    let mut views = Vec::new();
    if let Some(home) = home.filter(|home| home.is_ours) {
        let own = format!("{}+", home.record.name);
        let short = prefix.strip_prefix(&own).unwrap_or(prefix);
        let robots = state.accounts.robots_beginning(home.id, short, USERS);
        views.extend(robots.await?.iter().map(|it| robot(state, it, home)));
    }
    let whole_names = !state.features.partial_user_autocomplete;
    for user in state.accounts.users_beginning(prefix, USERS).await? {
        if whole_names && user.name.as_str() != prefix {
            continue;
        }
        views.push(user_view(state, &user, home).await?);
    }
    views.truncate(USERS);
    Ok(views)
}

async fn user_view(
    state: &State,
    user: &UserRecord,
    home: Option<&Home>,
) -> Result<EntityView, ApiError> {
    let name = user.name.as_str();
    let seed = user.email.as_deref().unwrap_or(name);
    // Who is in an organisation is told to who belongs to it (AZ-10).
    let ours = home.filter(|home| home.is_organization && home.is_ours);
    let is_org_member = match ours {
        Some(home) => match state.accounts.user_by_name(name).await? {
            Some((id, _)) => Some(state.accounts.is_member(home.id, Member::User(id)).await?),
            None => Some(false),
        },
        None => None,
    };
    Ok(EntityView::Person {
        name: name.to_owned(),
        kind: "user",
        is_robot: false,
        is_org_member,
        avatar: avatar(state, AvatarSubject::User, name, seed),
    })
}

fn robot(state: &State, robot: &RobotRecord, home: &Home) -> EntityView {
    let name = robot.name.to_string();
    EntityView::Person {
        kind: "user",
        is_robot: true,
        is_org_member: home.is_organization.then_some(true),
        avatar: avatar(state, AvatarSubject::Robot, &name, &name),
        name,
    }
}

fn organization(context: &Context, home: &Home, prefix: &str) -> Option<EntityView> {
    let name = home.record.name.as_str();
    let is_asked = context.flag("includeOrgs", false) && home.is_organization && home.is_admin;
    (is_asked && name.starts_with(prefix)).then(|| EntityView::Group {
        name: name.to_owned(),
        kind: "org",
        is_org_member: true,
        avatar: avatar(
            &context.state,
            AvatarSubject::Organization,
            name,
            home.record.avatar_seed(),
        ),
    })
}

fn avatar(state: &State, subject: AvatarSubject, name: &str, seed: &str) -> Avatar {
    Avatar::new(state.web.avatars, subject, name, seed)
}
