//! Bodies of mirrors, in every form that the product documents print.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::loose;
use super::ours::OursBody;
use super::refused;
use crate::model::{MirrorWish, RobotName, Secret, Timestamp};

/// What is decided of a mirror; what is left out stays, or is the default.
#[derive(Deserialize, ToSchema)]
pub(super) struct MirrorBody {
    #[serde(default, deserialize_with = "loose::truth")]
    is_enabled: Option<bool>,
    /// `registry/namespace/name`, or the address of its web page.
    external_reference: Option<String>,
    #[serde(default, deserialize_with = "loose::nullable")]
    external_registry_username: Option<Option<String>>,
    #[serde(default, deserialize_with = "loose::nullable")]
    external_registry_password: Option<Option<String>>,
    /// When the next run is due, `2025-01-15T12:00:00Z`.
    sync_start_date: Option<String>,
    /// Seconds between runs.
    #[serde(default, deserialize_with = "loose::number")]
    #[schema(value_type = Option<u64>)]
    sync_interval: Option<u64>,
    /// A robot of the same namespace; it gets the role write.
    robot_username: Option<String>,
    root_rule: Option<RuleBody>,
    external_registry_config: Option<TransportBody>,
    /// Seconds that each step of a run may take, at least 300.
    #[serde(default, deserialize_with = "loose::number")]
    #[schema(value_type = Option<u64>)]
    skopeo_timeout_interval: Option<u64>,
    /// Of amd64, arm64, ppc64le and s390x; `null` or none for all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    architecture_filter: Option<Option<Vec<String>>>,
    /// What Quay's mirrors do not have.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<OursBody>)]
    entrepot: Option<Option<OursBody>>,
}

/// Which tags are copied; the documents print both names of each.
#[derive(Deserialize, ToSchema)]
struct RuleBody {
    /// `tag_glob_csv`
    #[serde(alias = "rule_type")]
    rule_kind: Option<String>,
    /// Patterns, in a list or in a text with commas.
    #[serde(alias = "rule")]
    #[schema(value_type = Vec<String>)]
    rule_value: Option<Value>,
}

impl RuleBody {
    fn globs(self) -> Result<Vec<String>, ApiError> {
        if self.rule_kind.is_some_and(|kind| kind != "tag_glob_csv") {
            let text = "validation failed: rule_kind must be \"tag_glob_csv\"";
            return Err(ApiError::invalid(text));
        }
        let wrong = || ApiError::invalid("root_rule: rule_value is a list of patterns of tags");
        match self.rule_value {
            Some(Value::Array(globs)) => globs
                .into_iter()
                .map(|glob| {
                    glob.as_str()
                        .map(|it| it.trim().to_owned())
                        .ok_or_else(wrong)
                })
                .collect(),
            Some(Value::String(globs)) => {
                Ok(globs.split(',').map(|it| it.trim().to_owned()).collect())
            }
            _ => Err(wrong()),
        }
    }
}

/// How the source is reached.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::api::v1) struct TransportBody {
    #[serde(default, deserialize_with = "loose::truth")]
    pub(in crate::api::v1) verify_tls: Option<bool>,
    #[serde(default, deserialize_with = "loose::truth")]
    pub(in crate::api::v1) unsigned_images: Option<bool>,
    pub(in crate::api::v1) proxy: Option<ProxyBody>,
}

/// Through which proxies.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::api::v1) struct ProxyBody {
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api::v1) http_proxy: Option<Option<String>>,
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api::v1) https_proxy: Option<Option<String>>,
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api::v1) no_proxy: Option<Option<String>>,
}

/// Whether everything must be there that a mirror cannot be made without.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Demand {
    /// A mirror is made (Quay's required properties, and the robot).
    Whole,
    Part,
}

impl MirrorBody {
    /// What the body wants.
    ///
    /// # Errors
    /// 400 that says what is missing or wrong.
    pub(super) fn wish(self, demand: Demand) -> Result<MirrorWish, ApiError> {
        if demand == Demand::Whole {
            self.check_whole()?;
        }
        let transport = self.external_registry_config.unwrap_or_default();
        let proxy = transport.proxy.unwrap_or_default();
        let more = match self.entrepot {
            Some(ours) => ours.unwrap_or_default().more()?,
            None => Default::default(),
        };
        Ok(MirrorWish {
            enabled: self.is_enabled,
            reference: self.external_reference,
            username: self
                .external_registry_username
                .map(|it| it.map(Secret::new)),
            password: self
                .external_registry_password
                .map(|it| it.map(Secret::new)),
            verify_tls: transport.verify_tls,
            unsigned_images: transport.unsigned_images,
            http_proxy: proxy.http_proxy.map(filled),
            https_proxy: proxy.https_proxy.map(filled),
            no_proxy: proxy.no_proxy.map(filled),
            start: self.sync_start_date.as_deref().map(start).transpose()?,
            interval_s: self.sync_interval,
            robot: self.robot_username.as_deref().map(robot).transpose()?,
            globs: self.root_rule.map(RuleBody::globs).transpose()?,
            deadline_s: self.skopeo_timeout_interval,
            architectures: self.architecture_filter.map(Option::unwrap_or_default),
            more,
        })
    }

    fn check_whole(&self) -> Result<(), ApiError> {
        let missing = [
            ("external_reference", self.external_reference.is_none()),
            ("sync_interval", self.sync_interval.is_none()),
            ("sync_start_date", self.sync_start_date.is_none()),
            ("root_rule", self.root_rule.is_none()),
            ("robot_username", self.robot_username.is_none()),
        ];
        match missing.into_iter().find(|(_, is_missing)| *is_missing) {
            Some((name, _)) => Err(ApiError::invalid(format!(
                "'{name}' is a required property"
            ))),
            None => Ok(()),
        }
    }
}

/// An empty text is none.
pub(in crate::api::v1) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// A field that may be left out; one that is `null` is there, and empty.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

fn start(text: &str) -> Result<Timestamp, ApiError> {
    parse_start(text).ok_or_else(|| refused("Incorrect DateTime format for sync_start_date."))
}

/// `2025-01-15T12:00:00Z`, and nothing else (Quay).
pub(in crate::api::v1) fn parse_start(text: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H:%M:%SZ", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}

/// What is no robot's name is the name of none (Quay: the form of the data model).
fn robot(text: &str) -> Result<RobotName, ApiError> {
    text.parse()
        .map_err(|_| ApiError::refused("Could not find robot with specified username"))
}
