//! Repositories made and changed.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::json;
use super::super::rows::Answer;
use super::SuccessView;
use crate::http::response;
use crate::model::{NamespaceName, RepositoryState, Visibility};
use crate::oci::RepositoryName;
use crate::registry;

/// Longest description, in bytes.
const DESCRIPTION_BYTES: usize = 64 << 10;

#[derive(Deserialize, ToSchema)]
pub(super) struct CreateRepositoryBody {
    repository: String,
    visibility: String,
    description: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    repo_kind: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CreatedRepositoryView {
    namespace: String,
    name: String,
    kind: &'static str,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct DescriptionBody {
    description: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct VisibilityBody {
    visibility: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct TrustBody {
    trust_enabled: bool,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct StateBody {
    state: String,
}

pub(super) async fn create(context: Context) -> Answer {
    let body: CreateRepositoryBody = context.body()?;
    let namespace = match &body.namespace {
        Some(name) => name.clone(),
        None => context.user()?.1.to_string(),
    };
    // What there is not is refused as what is not the caller's (AZ-11).
    let name: Result<NamespaceName, _> = namespace.parse();
    let found = match &name {
        Ok(name) => context.state.registry.namespace(name).await?,
        Err(_) => None,
    };
    let (id, record) = found.ok_or_else(|| context.refusal())?;
    let auth = &context.state.auth;
    let permits = auth
        .in_namespace(&context.caller.identity, id, record.kind)
        .await?;
    if !permits.may_create() {
        return Err(context.refusal());
    }
    let visibility = visibility(&body.visibility)?;
    let description = described(body.description)?;
    if body.repo_kind.is_some_and(|kind| kind != "image") {
        return Err(ApiError::invalid("Invalid repository kind"));
    }
    let name = repository_name(&context, &record.name, &body.repository)?;
    let by = context.performer();
    let added = context
        .state
        .registry
        .add_repository(id, &name, visibility, description, &by);
    match added.await {
        Ok(_) => {}
        Err(registry::Error::OrganizationMirror) => {
            let text =
                "Cannot create repository: organization is managed by organization-level mirroring";
            return Err(ApiError::invalid(text));
        }
        Err(registry::Error::Exists) => {
            return Err(ApiError::invalid("Repository already exists"));
        }
        Err(error) => return Err(error.into()),
    }
    let view = CreatedRepositoryView {
        namespace: record.name.to_string(),
        name: name.to_string(),
        kind: "image",
    };
    Ok(json::spaced(StatusCode::CREATED, &view))
}

/// A name that clients can pull by: with its namespace it is one of the specification's.
fn repository_name(
    context: &Context,
    namespace: &NamespaceName,
    name: &str,
) -> Result<RepositoryName, ApiError> {
    let invalid = || ApiError::invalid("Invalid repository name");
    if name.contains('/') && !context.state.features.extended_repository_names {
        return Err(invalid());
    }
    let name: RepositoryName = name.parse().map_err(|_| invalid())?;
    let full: Result<RepositoryName, _> = format!("{namespace}/{name}").parse();
    full.map(|_| name).map_err(|_| invalid())
}

fn visibility(text: &str) -> Result<Visibility, ApiError> {
    match text {
        "public" => Ok(Visibility::Public),
        "private" => Ok(Visibility::Private),
        other => {
            let text = format!("'{other}' is not one of ['public', 'private']");
            Err(ApiError::invalid(text))
        }
    }
}

fn described(description: String) -> Result<String, ApiError> {
    match description.len() <= DESCRIPTION_BYTES {
        true => Ok(description),
        false => Err(ApiError::invalid("A description has up to 65536 bytes")),
    }
}

pub(super) async fn describe(context: Context) -> Answer {
    let body: DescriptionBody = context.body()?;
    let description = described(body.description)?;
    let repository = context.repository().repository;
    let registry = &context.state.registry;
    let by = context.performer();
    registry.describe(repository, &description, &by).await?;
    Ok(json::spaced(StatusCode::OK, &SuccessView::YES))
}

pub(super) async fn delete(context: Context) -> Answer {
    let repository = context.repository().repository;
    let by = context.performer();
    let registry = &context.state.registry;
    registry.delete_repository(repository, &by).await?;
    Ok(response::no_content())
}

pub(super) async fn set_visibility(context: Context) -> Answer {
    let body: VisibilityBody = context.body()?;
    let visibility = visibility(&body.visibility)?;
    let subject = context.repository();
    if !subject.namespace_record.is_local() {
        let text = "Who may pull from a cache is said for the whole organization";
        return Err(ApiError::invalid(text));
    }
    let by = context.performer();
    let registry = &context.state.registry;
    registry
        .set_visibility(subject.repository, visibility, &by)
        .await?;
    Ok(json::spaced(StatusCode::OK, &SuccessView::YES))
}

/// As in Quay a word about the repository, which it shows; nothing is signed by this registry.
pub(super) async fn set_trust(context: Context) -> Answer {
    let body: TrustBody = context.body()?;
    let repository = context.repository().repository;
    let by = context.performer();
    let registry = &context.state.registry;
    registry
        .set_trust(repository, body.trust_enabled, &by)
        .await?;
    Ok(json::spaced(StatusCode::OK, &SuccessView::YES))
}

pub(super) async fn set_state(context: Context) -> Answer {
    let body: StateBody = context.body()?;
    let settable = [
        RepositoryState::Normal,
        RepositoryState::ReadOnly,
        RepositoryState::Mirror,
    ];
    let mut settable = settable.into_iter();
    let Some(state) = settable.find(|state| state.as_str() == body.state) else {
        let text = format!("{} is not a valid Repository state.", body.state);
        return Err(ApiError::detail(StatusCode::BAD_REQUEST, text));
    };
    let repository = context.repository().repository;
    let by = context.performer();
    let registry = &context.state.registry;
    match registry.set_state(repository, state, &by).await {
        Ok(()) => {}
        Err(error @ registry::Error::OrganizationMirror) => {
            return Err(ApiError::detail(StatusCode::BAD_REQUEST, error));
        }
        Err(error) => return Err(error.into()),
    }
    // A mirror that was none for a while may be due.
    context.state.mirror.wake();
    Ok(json::spaced(StatusCode::OK, &SuccessView::YES))
}
