//! `/api/v1/superuser/keys`: the keys of services, as superusers see and keep them.

use std::collections::BTreeMap;

use ::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::user_view;
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::rows::{Answer, Rows};
use crate::api::v1::view::gmt;
use crate::api::v1::{json, loose};
use crate::auth::{Need, NewServiceKey, ServiceKeyChange, ServiceKeyError};
use crate::config::Features;
use crate::http::response;
use crate::model::{ApprovalKind, ServiceKeyApproval, ServiceKeyRecord, Timestamp};

const KEYS: &str = "/api/v1/superuser/keys";
const KEY: &str = "/api/v1/superuser/keys/{kid}";
const APPROVAL: &str = "/api/v1/superuser/approvedkeys/{kid}";

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("superuser", Need::Superuser);
    let is_on = |features: &Features| features.super_users;
    rows.get(KEYS, "listServiceKeys", group, need, list)
        .summary("Lists the keys of services.")
        .switch(is_on)
        .answer::<KeysView>(200, "The keys");
    rows.post(KEYS, "createServiceKey", group, need, create)
        .summary("Makes a pair of keys for a service; the private half is shown once.")
        .switch(is_on)
        .fresh()
        .body::<NewKeyBody>()
        .answer::<KeyPairView>(200, "Both halves");
    rows.get(KEY, "getServiceKey", group, need, show)
        .summary("Shows a key of a service.")
        .switch(is_on)
        .answer::<KeyView>(200, "The key");
    rows.put(KEY, "updateServiceKey", group, need, change)
        .summary("Changes what is said of a key.")
        .switch(is_on)
        .fresh()
        .body::<ChangeBody>()
        .answer::<KeyView>(200, "The key");
    rows.delete(KEY, "deleteServiceKey", group, need, delete)
        .summary("Deletes a key.")
        .switch(is_on)
        .fresh()
        .status(204, "Deleted");
    rows.post(APPROVAL, "approveServiceKey", group, need, approve)
        .summary("Approves a key that a service submitted.")
        .switch(is_on)
        .fresh()
        .body::<ApprovalBody>()
        .status(201, "Approved");
}

/// A key of a service.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "it tells the form; `view` makes it, its members sorted"
)]
struct KeyView {
    approval: Option<Value>,
    created_date: String,
    expiration_date: Option<String>,
    jwk: Value,
    kid: String,
    metadata: Value,
    name: String,
    rotation_duration: Option<u64>,
    service: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it tells the form")]
struct KeysView {
    keys: Vec<KeyView>,
}

/// Both halves of a key, PEM.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it tells the form")]
struct KeyPairView {
    kid: String,
    name: String,
    service: String,
    public_key: String,
    private_key: String,
}

#[derive(Deserialize, ToSchema)]
struct NewKeyBody {
    service: String,
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    notes: Option<String>,
    /// Seconds since 1970, or null for never.
    #[schema(value_type = Option<i64>)]
    expiration: Value,
}

#[derive(Deserialize, ToSchema)]
struct ChangeBody {
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Seconds since 1970, or null for never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    expiration: Option<Value>,
}

#[derive(Default, Deserialize, ToSchema)]
struct ApprovalBody {
    notes: Option<String>,
}

/// Tells `null` from what is left out.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

async fn list(context: Context) -> Answer {
    let keys = context.state.auth.service_keys().list().await?;
    let mut views = Vec::with_capacity(keys.len());
    for (id, record) in keys {
        views.push(view(&context, &id, &record).await?);
    }
    Ok(json::compact(StatusCode::OK, &json!({ "keys": views })))
}

async fn show(context: Context) -> Answer {
    let id = context.parameter("kid");
    let record = context.state.auth.service_keys().key(id).await?;
    let record = record.ok_or_else(ApiError::not_found)?;
    let view = view(&context, id, &record).await?;
    Ok(json::compact(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let body: NewKeyBody = context.body()?;
    let (user, name) = context.user()?;
    // Quay tells of a key made by hand who made it, and from where.
    let mut metadata = body.metadata.unwrap_or_default();
    metadata.insert("created_by".to_owned(), "Quay Superuser Panel".into());
    metadata.insert("creator".to_owned(), name.to_string().into());
    metadata.insert("ip".to_owned(), json!(context.caller.address));
    let new = NewServiceKey {
        service: body.service.clone(),
        name: body.name.clone().unwrap_or_default(),
        metadata,
        expires: time(&body.expiration)?,
        notes: body.notes.unwrap_or_default(),
    };
    let keys = context.state.auth.service_keys();
    let made = keys.make(new, user, &context.performer()).await;
    let made = made.map_err(failed)?;
    // Compact, its members sorted, as of every door of keys (Quay).
    let pair = BTreeMap::from([
        ("kid", made.key_id.as_str()),
        ("name", body.name.as_deref().unwrap_or_default()),
        ("private_key", made.private_key.expose()),
        ("public_key", made.public_key.as_str()),
        ("service", body.service.as_str()),
    ]);
    Ok(json::compact(StatusCode::OK, &pair))
}

async fn change(context: Context) -> Answer {
    let body: ChangeBody = context.body()?;
    let change = ServiceKeyChange {
        name: body.name,
        metadata: body.metadata,
        expires: body.expiration.as_ref().map(time).transpose()?,
    };
    let id = context.parameter("kid");
    let keys = context.state.auth.service_keys();
    let record = keys.change(id, change, &context.performer()).await;
    let view = view(&context, id, &record.map_err(failed)?).await?;
    Ok(json::compact(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let keys = context.state.auth.service_keys();
    let (id, by) = (context.parameter("kid"), context.performer());
    keys.delete(id, &by).await.map_err(failed)?;
    Ok(response::no_content())
}

async fn approve(context: Context) -> Answer {
    let body: ApprovalBody = context.optional_body()?;
    let (user, _) = context.user()?;
    let keys = context.state.auth.service_keys();
    let (id, by) = (context.parameter("kid"), context.performer());
    let approved = keys.approve(id, body.notes.unwrap_or_default(), user, &by);
    approved.await.map_err(failed)?;
    Ok(response::empty(StatusCode::CREATED))
}

/// The view of a key.
async fn view(context: &Context, id: &str, record: &ServiceKeyRecord) -> Result<Value, ApiError> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let approval = match &record.approval {
        Some(approval) => Some(approval_view(context, approval).await?),
        None => None,
    };
    Ok(sorted(json!({
        "approval": approval,
        "created_date": gmt(record.created),
        "expiration_date": record.expires.map(gmt),
        "jwk": read(&record.jwk),
        "kid": id,
        "metadata": read(&record.metadata),
        "name": record.name,
        "rotation_duration": record.rotation_duration_s,
        "service": record.service,
    })))
}

/// The members of every object in the order of their names, as the doors of keys write them (Quay).
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> = members.into_iter().collect();
            let members = members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)));
            Value::Object(members.collect())
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

async fn approval_view(
    context: &Context,
    approval: &ServiceKeyApproval,
) -> Result<Value, ApiError> {
    let approver = match approval.approver {
        Some(id) => {
            let user = context.state.accounts.user(id).await?;
            user.map(|user| user_view(context, id, &user))
        }
        None => None,
    };
    let kind = match approval.kind {
        ApprovalKind::Superuser => "ServiceKeyApprovalType.SUPERUSER",
        ApprovalKind::KeyRotation => "ServiceKeyApprovalType.KEY_ROTATION",
        ApprovalKind::Automatic => "ServiceKeyApprovalType.AUTOMATIC",
    };
    Ok(json!({
        "approval_type": kind,
        "approved_date": gmt(approval.at),
        "approver": approver,
        "notes": approval.notes,
    }))
}

/// Seconds since 1970, also as text; nothing for `null`.
fn time(value: &Value) -> Result<Option<Timestamp>, ApiError> {
    let seconds = loose::number(value).map_err(|_| invalid_date(value))?;
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    let millis = seconds
        .checked_mul(1000)
        .and_then(|it| i64::try_from(it).ok());
    let millis = millis.ok_or_else(|| invalid_date(value))?;
    Ok(Some(Timestamp::from_millis(millis)))
}

fn invalid_date(value: &Value) -> ApiError {
    ApiError::invalid(format!("Invalid expiration date: {value}"))
}

pub(in crate::api::v1) fn failed(error: ServiceKeyError) -> ApiError {
    match error {
        ServiceKeyError::Unknown => ApiError::not_found(),
        ServiceKeyError::Name(_)
        | ServiceKeyError::Service(_)
        | ServiceKeyError::Past
        | ServiceKeyError::TooLate
        | ServiceKeyError::Metadata
        | ServiceKeyError::Malformed
        | ServiceKeyError::Refused
        | ServiceKeyError::Unapproved
        | ServiceKeyError::Expired
        | ServiceKeyError::TooMany => ApiError::invalid(error),
        ServiceKeyError::Auth(error) => error.into(),
    }
}
