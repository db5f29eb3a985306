//! Bodies of organisations that are mirrors.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::loose;
use super::super::mirror::{TransportBody, filled, parse_start};
use crate::mirror::OrgMirrorWish;
use crate::model::{OrgMirrorKind, RobotName, Secret, Timestamp, Visibility};

/// What is decided of an organisation; what is left out stays, or is the default.
#[derive(Deserialize, ToSchema)]
pub(super) struct OrgMirrorBody {
    /// `harbor` or `quay`; it stays what it is.
    external_registry_type: Option<String>,
    /// `https://registry.example`
    external_registry_url: Option<String>,
    /// The namespace or project there.
    external_namespace: Option<String>,
    /// A robot of the organisation.
    robot_username: Option<String>,
    /// `public` or `private`: of the repositories that are made.
    visibility: Option<String>,
    /// Seconds between looks, at least 60.
    #[serde(default, deserialize_with = "loose::number")]
    #[schema(value_type = Option<u64>)]
    sync_interval: Option<u64>,
    /// When the next look is due, `2025-01-15T12:00:00Z`.
    sync_start_date: Option<String>,
    #[serde(default, deserialize_with = "loose::truth")]
    is_enabled: Option<bool>,
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    external_registry_username: Option<Option<String>>,
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    external_registry_password: Option<Option<String>>,
    external_registry_config: Option<TransportBody>,
    /// Globs of the names of repositories; none for all.
    repository_filters: Option<Vec<String>>,
    /// Seconds that each step may take, 30 to 3600.
    #[serde(default, deserialize_with = "loose::number")]
    #[schema(value_type = Option<u64>)]
    skopeo_timeout: Option<u64>,
}

/// Whether everything must be there that a mirror cannot be made without.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Demand {
    Whole,
    Part,
}

/// What an organisation cannot be made a mirror without (Quay's schema).
const REQUIRED: [&str; 7] = [
    "external_registry_type",
    "external_registry_url",
    "external_namespace",
    "robot_username",
    "visibility",
    "sync_interval",
    "sync_start_date",
];

impl OrgMirrorBody {
    /// What the body of a request wants.
    ///
    /// # Errors
    /// 400 that says what is missing or wrong.
    pub(super) fn wish(context: &Context, demand: Demand) -> Result<OrgMirrorWish, ApiError> {
        let given: Map<String, Value> = context.body()?;
        if demand == Demand::Whole {
            let is_missing = |name: &str| given.get(name).is_none_or(Value::is_null);
            if let Some(name) = REQUIRED.into_iter().find(|name| is_missing(name)) {
                let text = format!("'{name}' is a required property");
                return Err(ApiError::invalid(text));
            }
        }
        let names: Vec<String> = given.keys().cloned().collect();
        let body: Self = context.body()?;
        let transport = body.external_registry_config.unwrap_or_default();
        let proxy = transport.proxy.unwrap_or_default();
        // Quay: an update does not say of what kind the registry is.
        let kind = body
            .external_registry_type
            .filter(|_| demand == Demand::Whole);
        Ok(OrgMirrorWish {
            enabled: body.is_enabled,
            kind: kind.as_deref().map(registry_kind).transpose()?,
            url: body.external_registry_url,
            namespace: body.external_namespace,
            username: body
                .external_registry_username
                .map(|it| it.map(Secret::new)),
            password: body
                .external_registry_password
                .map(|it| it.map(Secret::new)),
            verify_tls: transport.verify_tls,
            http_proxy: proxy.http_proxy.map(filled),
            https_proxy: proxy.https_proxy.map(filled),
            no_proxy: proxy.no_proxy.map(filled),
            repositories: body.repository_filters,
            visibility: body.visibility.as_deref().map(visibility).transpose()?,
            start: body.sync_start_date.as_deref().map(start).transpose()?,
            interval_s: body.sync_interval,
            robot: body.robot_username.as_deref().map(robot).transpose()?,
            deadline_s: body.skopeo_timeout,
            given: names,
        })
    }
}

fn registry_kind(text: &str) -> Result<OrgMirrorKind, ApiError> {
    match text {
        "harbor" => Ok(OrgMirrorKind::Harbor),
        "quay" => Ok(OrgMirrorKind::Quay),
        other => Err(ApiError::invalid(format!(
            "'{other}' is not one of ['harbor', 'quay']"
        ))),
    }
}

fn visibility(text: &str) -> Result<Visibility, ApiError> {
    match text {
        "public" => Ok(Visibility::Public),
        "private" => Ok(Visibility::Private),
        other => Err(ApiError::invalid(format!(
            "'{other}' is not one of ['public', 'private']"
        ))),
    }
}

fn start(text: &str) -> Result<Timestamp, ApiError> {
    let wrong = "Invalid sync_start_date format. Use ISO 8601: YYYY-MM-DDTHH:MM:SSZ";
    parse_start(text).ok_or_else(|| ApiError::invalid(wrong))
}

fn robot(text: &str) -> Result<RobotName, ApiError> {
    text.parse()
        .map_err(|_| ApiError::invalid(format!("Invalid robot account: {text}")))
}
