//! Quotas of organisations and users, and their limits (`quay-api` section 25).
//!
//! Whoever is in an organisation sees its quota, only superusers change it. What the bodies of the doors
//! mean is said here; the superusers' own doors (`superuser::quotas`) use it too.

mod organization;
mod user;

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Answer, Rows, Switch};
use super::view::{LimitView, QuotaView};
use super::{json, loose};
use crate::model::{ByteSize, LimitKind, NamespaceId, QuotaLimit, QuotaRecord};
use crate::quota::Quota;
use crate::registry::{self, QuotaFault};

const GROUP: &str = "namespacequota";

/// `FEATURE_SUPER_USERS`, `FEATURE_QUOTA_MANAGEMENT` and `FEATURE_EDIT_QUOTA`.
pub(super) const SWITCH: Switch =
    |features| features.super_users && features.quota_management && features.edit_quota;

pub(super) fn routes(rows: &mut Rows) {
    organization::routes(rows);
    user::routes(rows);
}

/// How much a namespace may hold. Further keys are not looked at.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewQuotaBody {
    #[serde(default, deserialize_with = "loose::number")]
    limit_bytes: Option<u64>,
    /// The same for people: `10 GiB`.
    limit: Option<String>,
}

/// As when it is made, without a further key; nothing for no change.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct QuotaBody {
    #[serde(deserialize_with = "loose::number")]
    limit_bytes: Option<u64>,
    limit: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct NewLimitBody {
    /// `Warning` or `Reject`, in any case.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "loose::number")]
    threshold_percent: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
struct LimitBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "loose::number")]
    threshold_percent: Option<u64>,
}

impl NewQuotaBody {
    /// # Errors
    /// 400 unless exactly one of the two is there and says something.
    pub(super) fn bytes(&self) -> Result<u64, ApiError> {
        let bytes = bytes(self.limit_bytes, self.limit.as_deref())?;
        bytes.ok_or_else(|| ApiError::invalid("limit_bytes or limit is required"))
    }
}

impl QuotaBody {
    /// # Errors
    /// 400 if both are there, or the text says nothing.
    pub(super) fn bytes(&self) -> Result<Option<u64>, ApiError> {
        bytes(self.limit_bytes, self.limit.as_deref())
    }
}

fn bytes(number: Option<u64>, text: Option<&str>) -> Result<Option<u64>, ApiError> {
    match (number, text) {
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "limit_bytes and limit are the same in two forms: one of them is given",
        )),
        (number, None) => Ok(number),
        (None, Some(text)) => of_text(text).map(Some),
    }
}

/// A number followed by a unit, such as `10 GiB`, `10Gi`, `500 MB`.
fn of_text(text: &str) -> Result<u64, ApiError> {
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace();
    let has_unit =
        text.trim_start().starts_with(|c: char| c.is_ascii_digit()) && !text.chars().all(digits);
    let size = match has_unit {
        true => text.parse::<ByteSize>().ok(),
        false => None,
    };
    size.map(ByteSize::bytes).ok_or_else(|| {
        ApiError::invalid("Invalid limit format, use a number followed by a unit (e.g. 1GiB)")
    })
}

fn kind(name: &str) -> Result<LimitKind, ApiError> {
    LimitKind::named(name)
        .ok_or_else(|| ApiError::invalid("Quota type must be one of [Warning, Reject]"))
}

/// A number of the path; what is none names nothing.
pub(super) fn number(context: &Context, parameter: &str) -> Result<u64, ApiError> {
    context.parsed(parameter)
}

/// The namespace's own quota of that number.
fn own(context: &Context, namespace: NamespaceId) -> Result<QuotaRecord, ApiError> {
    let id = number(context, "quota_id")?;
    match context.state.registry.quotas().of(namespace) {
        Some(Quota::Own(record)) if record.id == id => Ok(record),
        _ => Err(ApiError::not_found()),
    }
}

/// The limit of the path, one of this quota's.
fn limit_of(context: &Context, quota: &QuotaRecord) -> Result<QuotaLimit, ApiError> {
    let id = number(context, "limit_id")?;
    let found = quota.limits.iter().find(|limit| limit.id == id);
    found.copied().ok_or_else(ApiError::not_found)
}

/// A list of none or one.
pub(super) fn list(context: &Context, namespace: NamespaceId) -> Answer {
    let quotas: Vec<QuotaView> = QuotaView::of(&context.state, namespace)
        .into_iter()
        .collect();
    Ok(json::spaced(StatusCode::OK, &quotas))
}

/// The quota as it is now.
pub(super) fn show(context: &Context, namespace: NamespaceId, status: StatusCode) -> Answer {
    let view = QuotaView::of(&context.state, namespace).ok_or_else(ApiError::not_found)?;
    Ok(json::spaced(status, &view))
}

fn limits(record: &QuotaRecord) -> Answer {
    Ok(json::spaced(
        StatusCode::OK,
        &LimitView::all(&record.limits),
    ))
}

/// Quay's answer to what was made.
pub(super) fn created() -> Answer {
    Ok(json::spaced(StatusCode::CREATED, &"Created"))
}

/// What the service says of a quota, in the words of the door; `whose` is `Organization quota`, `Quota`.
pub(super) fn failed(error: registry::Error, whose: &str, name: &str, bytes: u64) -> ApiError {
    match error {
        registry::Error::Quota(QuotaFault::Exists) => {
            ApiError::invalid(format!("{whose} for '{name}' already exists"))
        }
        registry::Error::Quota(QuotaFault::Bytes) => {
            ApiError::invalid(format!("Invalid quota size limit value: '{bytes}'"))
        }
        other => other.into(),
    }
}

/// A list that the description tells of.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
pub(super) struct QuotaList(Vec<QuotaView>);

/// A list that the description tells of.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
struct LimitList(Vec<LimitView>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_number_with_a_unit() {
        for (text, expected) in [
            ("10GiB", Some(10 << 30)),
            ("10 Gi", Some(10 << 30)),
            ("500 MB", Some(500_000_000)),
            ("1.5 TiB", Some(3 << 39)),
            ("10485760", None),
            ("GiB", None),
            ("-1 GiB", None),
            ("ten GiB", None),
            ("", None),
        ] {
            assert_eq!(of_text(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn one_of_two_forms_is_given() {
        let new = |body: serde_json::Value| {
            let body: NewQuotaBody = serde_json::from_value(body).unwrap();
            body.bytes().ok()
        };
        use serde_json::json;
        assert_eq!(new(json!({"limit_bytes": 7, "limits": "10 Gi"})), Some(7));
        assert_eq!(new(json!({"limit_bytes": "7"})), Some(7), "numbers as text");
        assert_eq!(new(json!({"limit": "1KiB"})), Some(1024));
        assert_eq!(new(json!({"limit_bytes": 7, "limit": "1KiB"})), None);
        assert_eq!(new(json!({})), None);
        let change = serde_json::from_value::<QuotaBody>(json!({"limit_bytes": 7, "more": 1}));
        assert!(change.is_err(), "a further key");
    }
}
