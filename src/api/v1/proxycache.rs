//! `/api/v1/organization/{orgname}/proxycache`: an organisation as the cache of an upstream.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::loose;
use super::rows::{Answer, Rows};
use crate::auth::{Need, Part};
use crate::config::Features;
use crate::model::Secret;
use crate::proxy::{self, CacheError, NewCache, Trial};

const CONFIGURATION: &str = "/api/v1/organization/{orgname}/proxycache";
const VALIDATION: &str = "/api/v1/organization/{orgname}/validateproxycache";

/// Quay's default: a day.
const EXPIRATION_S: u64 = 86_400;

pub(super) fn routes(rows: &mut Rows) {
    let group = "organization";
    let (member, admin) = (
        Need::Organization(Part::Member),
        Need::Organization(Part::Admin),
    );
    let is_on = |features: &Features| features.proxy_cache;
    rows.get(CONFIGURATION, "getProxyCacheConfig", group, member, show)
        .summary("Retrieves the proxy cache configuration of the organization.")
        .switch(is_on)
        .answer::<ProxyCacheView>(200, "The configuration; empty where there is none");
    rows.post(
        CONFIGURATION,
        "createProxyCacheConfig",
        group,
        admin,
        create,
    )
    .summary("Creates the proxy cache configuration of the organization.")
    .switch(is_on)
    .body::<ProxyCacheBody>()
    .answer::<String>(201, "Created");
    rows.delete(
        CONFIGURATION,
        "deleteProxyCacheConfig",
        group,
        admin,
        delete,
    )
    .summary("Deletes the proxy cache configuration of the organization.")
    .switch(is_on)
    .answer::<String>(201, "Deleted");
    rows.post(
        VALIDATION,
        "validateProxyCacheConfig",
        group,
        admin,
        validate,
    )
    .summary("Tries whether the upstream registry answers and takes the account.")
    .switch(is_on)
    .body::<ProxyCacheBody>()
    .answer::<String>(
        202,
        "Valid, or Anonymous where an account is wanted and none was given",
    );
}

/// What an organisation caches. Its account is never shown (WB-04).
#[derive(Serialize, ToSchema)]
struct ProxyCacheView {
    upstream_registry: String,
    /// Seconds, or an empty text where there is no configuration (Quay).
    #[schema(value_type = u64)]
    expiration_s: Value,
    #[schema(value_type = bool)]
    insecure: Value,
}

/// What an organisation is to cache.
#[derive(Deserialize, ToSchema)]
struct ProxyCacheBody {
    /// `host`, `host:port`, or either with `/namespace`.
    upstream_registry: String,
    upstream_registry_username: Option<String>,
    upstream_registry_password: Option<String>,
    /// Seconds for which a tag is served unasked while the upstream does not answer; 0 for ever.
    #[serde(default, deserialize_with = "loose::number")]
    expiration_s: Option<u64>,
    /// Plain http.
    #[serde(default, deserialize_with = "loose::truth")]
    insecure: Option<bool>,
}

impl ProxyCacheBody {
    fn cache(self) -> NewCache {
        NewCache {
            upstream: self.upstream_registry,
            username: self.upstream_registry_username.map(Secret::new),
            password: self.upstream_registry_password.map(Secret::new),
            expiration_s: self.expiration_s.unwrap_or(EXPIRATION_S),
            insecure: self.insecure.unwrap_or(false),
        }
    }
}

async fn show(context: Context) -> Answer {
    let name = &context.organization().record.name;
    let settings = context.state.proxy.cache_settings(name).await;
    let view = match settings.map_err(|error| failed(CacheError::from(error)))? {
        Some(settings) => ProxyCacheView {
            upstream_registry: settings.upstream,
            expiration_s: settings.expiration_s.into(),
            insecure: settings.insecure.into(),
        },
        None => ProxyCacheView {
            upstream_registry: String::new(),
            expiration_s: "".into(),
            insecure: "".into(),
        },
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let new = context.body::<ProxyCacheBody>()?.cache();
    let (name, by) = (&context.organization().record.name, context.performer());
    let made = context.state.proxy.make_cache(name, &new, &by).await;
    made.map_err(failed)?;
    Ok(json::spaced(StatusCode::CREATED, &"Created"))
}

async fn delete(context: Context) -> Answer {
    let (name, by) = (&context.organization().record.name, context.performer());
    let gone = context.state.proxy.unmake_cache(name, &by).await;
    gone.map_err(failed)?;
    Ok(json::spaced(StatusCode::CREATED, &"Deleted"))
}

async fn validate(context: Context) -> Answer {
    let new = context.body::<ProxyCacheBody>()?.cache();
    let name = &context.organization().record.name;
    let trial = context.state.proxy.try_cache(name, &new).await;
    let word = match trial.map_err(failed)? {
        Trial::Valid => "Valid",
        Trial::Anonymous => "Anonymous",
    };
    Ok(json::spaced(StatusCode::ACCEPTED, &word))
}

fn failed(error: CacheError) -> ApiError {
    match error {
        CacheError::Absent => ApiError::not_found(),
        CacheError::TooMany => {
            tracing::warn!(%error, "an organisation did not become a cache");
            ApiError::invalid("Error while creating Proxy cache configuration")
        }
        CacheError::Exists
        | CacheError::Configured { .. }
        | CacheError::Invalid(_)
        | CacheError::Forbidden
        | CacheError::Login
        | CacheError::Unreachable { .. } => ApiError::invalid(error),
        CacheError::Proxy(proxy::Error::Registry(error)) => error.into(),
        CacheError::Proxy(error) => ApiError::failed(&error),
    }
}
