//! Robots of users and organisations (`quay-api` section 17).
//!
//! Both forms have the same doors; they differ in whose robots they are about ([`Home`]).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, ParameterKind, Rows};
use super::view::{GrantedList, TeamNameView, rfc2822};
use crate::accounts;
use crate::auth::{Need, Part, Scope};
use crate::http::response;
use crate::model::{
    Federation, Grantee, Member, NamespaceId, NamespaceName, RobotId, RobotName, RobotRecord,
};

const MINE: &str = "/api/v1/user/robots";
const MINE_ONE: &str = "/api/v1/user/robots/{robot_shortname}";
const OURS: &str = "/api/v1/organization/{orgname}/robots";
const OURS_ONE: &str = "/api/v1/organization/{orgname}/robots/{robot_shortname}";
const USER: Need = Need::User(Scope::UserAdmin);
const ADMIN: Need = Need::Organization(Part::Admin);

const UNKNOWN: &str = "Could not find robot with specified username";

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
struct RobotBody {
    description: Option<String>,
    /// An object that is kept with the robot.
    unstructured_metadata: Option<Value>,
}

#[derive(Serialize, ToSchema)]
struct RobotList {
    robots: Vec<RobotView>,
}

#[derive(Serialize, ToSchema)]
struct RobotView {
    name: String,
    created: String,
    last_accessed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<Vec<TeamNameView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repositories: Option<Vec<String>>,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// `null` of a robot that was made without.
    #[serde(skip_serializing_if = "Option::is_none")]
    unstructured_metadata: Option<Value>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[derive(Default)]
struct FederationView {
    issuer: String,
    subject: String,
}

/// Whose robots a door is about.
struct Home {
    id: NamespaceId,
    name: NamespaceName,
    /// Whether tokens and permissions are shown.
    is_admin: bool,
    sees_permissions: bool,
}

pub(super) fn routes(rows: &mut Rows) {
    let member = Need::Organization(Part::Member);
    for (path, operation, need) in [
        (MINE, "getUserRobots", USER),
        (OURS, "getOrgRobots", member),
    ] {
        rows.get(path, operation, "robot", need, list)
            .summary("Lists robots")
            .query(
                "permissions",
                ParameterKind::Flag,
                "With teams and repositories",
            )
            .query(
                "token",
                ParameterKind::Flag,
                "With tokens, which is the default",
            )
            .query("limit", ParameterKind::Number, "How many at most")
            .answer::<RobotList>(200, "The robots");
    }
    for (path, operations, need) in [
        (
            MINE_ONE,
            ["getUserRobot", "createUserRobot", "deleteUserRobot"],
            USER,
        ),
        (
            OURS_ONE,
            ["getOrgRobot", "createOrgRobot", "deleteOrgRobot"],
            ADMIN,
        ),
    ] {
        let [get, put, remove] = operations;
        rows.get(path, get, "robot", need, show)
            .summary("Shows a robot with its token")
            .answer::<RobotView>(200, "The robot")
            .status(400, "There is none of that name");
        rows.put(path, put, "robot", need, create)
            .summary("Makes a robot")
            .body::<RobotBody>()
            .answer::<RobotView>(201, "The robot with its token")
            .status(400, "The name is taken or has no form, or robots are off");
        rows.delete(path, remove, "robot", need, delete)
            .summary("Removes a robot")
            .status(204, "Removed")
            .status(400, "There is none of that name");
    }
    for (path, operation, need) in [
        (
            "/api/v1/user/robots/{robot_shortname}/regenerate",
            "regenerateUserRobotToken",
            USER,
        ),
        (
            "/api/v1/organization/{orgname}/robots/{robot_shortname}/regenerate",
            "regenerateOrgRobotToken",
            ADMIN,
        ),
    ] {
        rows.post(path, operation, "robot", need, regenerate)
            .summary("Gives a robot a new token; the old one is worth nothing at once")
            .answer::<RobotView>(200, "The robot with its token")
            .status(400, "There is none of that name");
    }
    for (path, operation, need) in [
        (
            "/api/v1/user/robots/{robot_shortname}/permissions",
            "getUserRobotPermissions",
            USER,
        ),
        (
            "/api/v1/organization/{orgname}/robots/{robot_shortname}/permissions",
            "getOrgRobotPermissions",
            ADMIN,
        ),
    ] {
        rows.get(path, operation, "robot", need, permissions)
            .summary("Lists what is granted to a robot")
            .answer::<GrantedList>(200, "The permissions")
            .status(400, "There is none of that name");
    }
    federation_routes(rows);
}

fn federation_routes(rows: &mut Rows) {
    for (path, operations, need) in [
        (
            "/api/v1/user/robots/{robot_shortname}/federation",
            [
                "getUserRobotFederation",
                "createUserRobotFederation",
                "deleteUserRobotFederation",
            ],
            USER,
        ),
        (
            "/api/v1/organization/{orgname}/robots/{robot_shortname}/federation",
            [
                "getOrgRobotFederation",
                "createOrgRobotFederation",
                "deleteOrgRobotFederation",
            ],
            ADMIN,
        ),
    ] {
        let [get, post, remove] = operations;
        rows.get(path, get, "robot", need, show_federation)
            .summary("Lists the identities of other providers that may act as a robot")
            .answer::<Vec<FederationView>>(200, "The identities");
        rows.post(path, post, "robot", need, set_federation)
            .summary("Says which identities of other providers may act as a robot")
            .body::<Vec<FederationView>>()
            .answer::<Vec<FederationView>>(200, "The identities")
            .status(400, "One of them lacks something, or stands there twice");
        rows.delete(path, remove, "robot", need, clear_federation)
            .summary("Has no identity of another provider act as a robot")
            .status(204, "Cleared");
    }
}

/// Whose robots the door is about: those of the organisation in the path, or the user's own.
async fn home(context: &Context) -> Result<Home, ApiError> {
    if !context.parameter("orgname").is_empty() {
        let subject = context.organization();
        return Ok(Home {
            id: subject.namespace,
            name: subject.record.name.clone(),
            is_admin: subject.permits.is_admin(),
            sees_permissions: subject.permits.may_view(),
        });
    }
    let (_, name) = context.user()?;
    let found = context.state.accounts.namespace(name).await?;
    let (id, record) = found.ok_or_else(ApiError::not_found)?;
    Ok(Home {
        id,
        name: record.name,
        is_admin: true,
        sees_permissions: true,
    })
}

/// The same for a change, which restricted users cannot make in what is theirs.
async fn home_to_change(context: &Context) -> Result<Home, ApiError> {
    let is_own = context.parameter("orgname").is_empty();
    if is_own && context.caller.identity.is_restricted() {
        return Err(ApiError::message(
            StatusCode::FORBIDDEN,
            "Operation not allowed on restricted user owned namespace",
        ));
    }
    home(context).await
}

/// The robot of the path, which is one of the namespace (AZ-06).
async fn load(
    context: &Context,
    home: &Home,
) -> Result<(RobotId, RobotName, RobotRecord), ApiError> {
    let name = name(context, home).map_err(|_| ApiError::refused(UNKNOWN))?;
    let found = context.state.accounts.robot_by_name(&name).await?;
    let (id, record) = found.ok_or_else(|| ApiError::refused(UNKNOWN))?;
    Ok((id, name, record))
}

fn name(context: &Context, home: &Home) -> Result<RobotName, accounts::Error> {
    accounts::robot_name(&home.name, context.parameter("robot_shortname"))
}

async fn list(context: Context) -> Answer {
    let home = home(&context).await?;
    let limit = context.number("limit", u64::MAX, 0..=u64::MAX)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let shows_tokens = home.is_admin && context.flag("token", true);
    let shows_permissions = home.sees_permissions && context.flag("permissions", false);
    let accounts = &context.state.accounts;
    let mut robots = Vec::new();
    for (id, record) in accounts.robots_of(home.id, limit).await? {
        let mut view = RobotView::new(&record);
        if shows_permissions {
            let kind = context.state.web.avatars;
            let found = accounts.affiliation(home.id, Member::Robot(id)).await?;
            let (teams, repositories) = found
                .map(|found| (found.teams, found.repositories))
                .unwrap_or_default();
            let teams = teams.into_iter().map(|name| TeamNameView::new(kind, name));
            view.teams = Some(teams.collect());
            view.repositories = Some(repositories);
        }
        if shows_tokens {
            view = view.with_token(&context, &record)?;
        }
        robots.push(view);
    }
    Ok(json::spaced(StatusCode::OK, &RobotList { robots }))
}

async fn show(context: Context) -> Answer {
    let home = home(&context).await?;
    let (id, _, record) = load(&context, &home).await?;
    let metadata = context.state.accounts.robot_metadata(id).await?;
    let mut view = RobotView::new(&record);
    if home.is_admin {
        view = view.with_token(&context, &record)?;
    }
    view.unstructured_metadata = Some(metadata.unwrap_or_else(|| json!({})));
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let home = home_to_change(&context).await?;
    let body: RobotBody = context.optional_body()?;
    let name = name(&context, &home)?;
    if !context.state.auth.admits_robot(&name) {
        let text = "Robot accounts have been disabled. Please contact your administrator.";
        return Err(ApiError::invalid(text));
    }
    let metadata = body.unstructured_metadata.as_ref();
    let description = body.description.as_deref();
    let (accounts, by) = (&context.state.accounts, context.performer());
    let made = accounts.create_robot_with(&name, description, metadata, &by);
    made.await.map_err(|error| match error {
        accounts::Error::Exists { .. } => {
            ApiError::invalid(format!("Existing robot with name: {name}"))
        }
        accounts::Error::Invalid { what, reason } => {
            ApiError::invalid(format!("{what} is not valid: {reason}"))
        }
        error => error.into(),
    })?;
    let (_, _, record) = load(&context, &home).await?;
    let mut view = RobotView::new(&record).with_token(&context, &record)?;
    view.unstructured_metadata = Some(body.unstructured_metadata.unwrap_or(Value::Null));
    Ok(json::spaced(StatusCode::CREATED, &view))
}

async fn delete(context: Context) -> Answer {
    let home = home_to_change(&context).await?;
    let (_, name, _) = load(&context, &home).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    accounts.delete_robot(&name, &by).await.map_err(unknown)?;
    Ok(response::no_content())
}

async fn regenerate(context: Context) -> Answer {
    let home = home_to_change(&context).await?;
    let (_, name, _) = load(&context, &home).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let regenerated = accounts.regenerate_robot_token(&name, &by).await;
    regenerated.map_err(unknown)?;
    let (_, _, record) = load(&context, &home).await?;
    let view = RobotView::new(&record).with_token(&context, &record)?;
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn permissions(context: Context) -> Answer {
    let home = home(&context).await?;
    let (id, _, _) = load(&context, &home).await?;
    let accounts = &context.state.accounts;
    let granted = accounts.granted_within(home.id, Grantee::Robot(id)).await?;
    Ok(json::spaced(StatusCode::OK, &GrantedList::from(granted)))
}

async fn show_federation(context: Context) -> Answer {
    let home = home(&context).await?;
    let (_, _, record) = load(&context, &home).await?;
    Ok(json::spaced(
        StatusCode::OK,
        &federation_view(record.federation),
    ))
}

async fn set_federation(context: Context) -> Answer {
    let home = home_to_change(&context).await?;
    let body: Vec<FederationView> = context.body()?;
    let (_, name, _) = load(&context, &home).await?;
    let rules = body.into_iter().map(|rule| Federation {
        issuer: rule.issuer,
        subject: rule.subject,
    });
    let rules: Vec<Federation> = rules.collect();
    let (accounts, by) = (&context.state.accounts, context.performer());
    let set = accounts.set_federation(&name, &rules, &by).await;
    set.map_err(|error| match error {
        accounts::Error::Invalid { reason, .. } => ApiError::invalid(reason),
        error => unknown(error),
    })?;
    Ok(json::spaced(StatusCode::OK, &federation_view(rules)))
}

async fn clear_federation(context: Context) -> Answer {
    let home = home_to_change(&context).await?;
    let (_, name, _) = load(&context, &home).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    accounts
        .clear_federation(&name, &by)
        .await
        .map_err(unknown)?;
    Ok(response::no_content())
}

/// A robot that went in between is one that is not there.
fn unknown(error: accounts::Error) -> ApiError {
    match error {
        accounts::Error::Unknown { .. } => ApiError::refused(UNKNOWN),
        error => error.into(),
    }
}

fn federation_view(rules: Vec<Federation>) -> Vec<FederationView> {
    let views = rules.into_iter().map(|rule| FederationView {
        issuer: rule.issuer,
        subject: rule.subject,
    });
    views.collect()
}

impl RobotView {
    fn new(record: &RobotRecord) -> Self {
        Self {
            name: record.name.to_string(),
            created: rfc2822(record.created),
            last_accessed: record.last_accessed.map(rfc2822),
            teams: None,
            repositories: None,
            description: record.description.clone(),
            token: None,
            unstructured_metadata: None,
        }
    }

    fn with_token(mut self, context: &Context, record: &RobotRecord) -> Result<Self, ApiError> {
        let token = context.state.accounts.robot_token(record)?;
        self.token = Some(token.expose().to_owned());
        Ok(self)
    }
}
