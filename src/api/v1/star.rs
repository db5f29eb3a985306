//! Repositories that the caller likes (`quay-api` section 10.2).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::need::split;
use super::repository::{is_public, visible};
use super::rows::ParameterKind::Text;
use super::rows::{Answer, Rows};
use super::{cursor, json};
use crate::auth::{Need, Scope};
use crate::http::response;
use crate::model::{NamespaceName, RepositoryId};
use crate::oci::RepositoryName;
use crate::registry::Catalogued;

/// Repositories of a page (Quay), and stars that one request looks at.
const PAGE: usize = 100;

#[derive(Serialize, ToSchema)]
struct StarredView {
    repositories: Vec<StarredRepositoryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct StarredRepositoryView {
    namespace: String,
    name: String,
    description: Option<String>,
    is_public: bool,
}

#[derive(Deserialize, Serialize, ToSchema)]
struct StarBody {
    namespace: String,
    repository: String,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "user";
    const NEED: Need = Need::User(Scope::UserAdmin);
    rows.get(
        "/api/v1/user/starred",
        "listStarredRepos",
        GROUP,
        NEED,
        list,
    )
    .summary("Lists the repositories that the caller has starred")
    .query("next_page", Text, "where the page before ended")
    .answer::<StarredView>(200, "A page of repositories");
    rows.post("/api/v1/user/starred", "createStar", GROUP, NEED, create)
        .summary("Stars a repository")
        .body::<StarBody>()
        .answer::<StarBody>(201, "It is starred")
        .status(404, "There is no such repository");
    rows.delete(
        "/api/v1/user/starred/{repository+}",
        "deleteStar",
        GROUP,
        NEED,
        delete,
    )
    .summary("Takes a star back")
    .status(204, "It is not starred");
}

async fn list(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (state, key) = (&context.state, context.state.accounts.seal_key());
    let token = context.query();
    let token = token.value("next_page");
    let list = format!("stars of user {user}");
    let after = token.and_then(|token| cursor::open(key, &list, &token)?.parse().ok());
    let after = after.map(RepositoryId);
    let (starred, next) = state.registry.starred(user, after, PAGE).await?;
    let mut repositories = Vec::new();
    for entry in starred {
        if visible(state, &context.caller, &entry, true).await? {
            repositories.push(StarredRepositoryView {
                namespace: entry.owner.name.to_string(),
                name: entry.record.name.to_string(),
                description: entry.record.description.clone(),
                is_public: is_public(&entry),
            });
        }
    }
    let view = StarredView {
        repositories,
        next_page: next.map(|id| cursor::seal(key, &list, &id.to_string())),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let body: StarBody = context.body()?;
    let (user, _) = context.user()?;
    let (Ok(namespace), Ok(name)) = (body.namespace.parse(), body.repository.parse()) else {
        return Err(ApiError::not_found());
    };
    let entry = find(&context, &namespace, &name).await?;
    // What may not be seen is told from what is not there by nobody (AZ-11).
    if !visible(&context.state, &context.caller, &entry, true).await? {
        return Err(ApiError::not_found());
    }
    context.state.registry.star(user, entry.repository).await?;
    Ok(json::spaced(StatusCode::CREATED, &body))
}

async fn delete(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (namespace, name) =
        split(context.parameter("repository")).ok_or_else(ApiError::not_found)?;
    let entry = find(&context, &namespace, &name).await?;
    let registry = &context.state.registry;
    let taken = registry.unstar(user, entry.repository).await?;
    // A star can be taken back of what the caller sees no more.
    match taken || visible(&context.state, &context.caller, &entry, true).await? {
        true => Ok(response::no_content()),
        false => Err(ApiError::not_found()),
    }
}

async fn find(
    context: &Context,
    namespace: &NamespaceName,
    name: &RepositoryName,
) -> Result<Catalogued, ApiError> {
    let registry = &context.state.registry;
    let found = registry.catalogued(namespace, name).await?;
    found.ok_or_else(ApiError::not_found)
}
