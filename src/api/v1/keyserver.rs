//! `/keys/services/{service}/keys`: the key server, where services keep their keys and everybody reads
//! which to believe (`quay-api` section 38).
//!
//! Nobody logs in here: a change is proved by a signature, which no page of another site can make, so
//! that no CSRF token is asked for.

use ::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, ParameterKind, Rows};
use crate::auth::{Need, ServiceKeyError, Submission, Submitted};
use crate::http::response;
use crate::model::{ServiceKeyRecord, Timestamp};

const KEYS: &str = "/keys/services/{service}/keys";
const KEY: &str = "/keys/services/{service}/keys/{kid}";

/// Longest time for which somebody may keep a key without asking again (Quay).
const DAY_S: i64 = 86_400;

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("keyserver", Need::Anyone);
    rows.get(KEYS, "key_server.list_service_keys", group, need, list)
        .summary("Lists the keys of a service that are to be believed.")
        .internal()
        .status(200, "The keys, as a JWK set");
    rows.get(KEY, "key_server.get_service_key", group, need, show)
        .summary("Shows a key of a service.")
        .internal()
        .status(200, "The key, as a JWK")
        .status(403, "It has expired")
        .status(404, "There is no such key")
        .status(409, "It is not approved");
    rows.put(KEY, "key_server.put_service_key", group, need, put)
        .summary("Submits a key, or replaces the one that signs for it.")
        .internal()
        .csrf_exempt()
        .query(
            "rotation",
            ParameterKind::Number,
            "Seconds until its service replaces it",
        )
        .query(
            "expiration",
            ParameterKind::Number,
            "When it expires, seconds since 1970",
        )
        .status(200, "It has taken the place of the key that signed for it")
        .status(202, "It waits to be approved");
    rows.delete(KEY, "key_server.delete_service_key", group, need, delete)
        .summary("Withdraws a key.")
        .internal()
        .csrf_exempt()
        .status(204, "Deleted");
}

async fn list(context: Context) -> Answer {
    let keys = context.state.auth.service_keys();
    let believed = keys.believed(context.parameter("service")).await?;
    let keys: Vec<Value> = believed.iter().map(|(_, record)| jwk(record)).collect();
    Ok(json::compact(StatusCode::OK, &json!({ "keys": keys })))
}

async fn show(context: Context) -> Answer {
    let keys = context.state.auth.service_keys();
    let (service, id) = (context.parameter("service"), context.parameter("kid"));
    let record = keys.believed_key(service, id).await.map_err(failed)?;
    let left = |expires: Timestamp| (expires.as_secs() - context.now().as_secs()).clamp(0, DAY_S);
    let age = record.expires.map_or(DAY_S, left);
    let mut answer = json::compact(StatusCode::OK, &jwk(&record));
    let kept = HeaderValue::from_str(&format!("max-age={age}"));
    if let Ok(kept) = kept {
        answer.headers_mut().insert(header::CACHE_CONTROL, kept);
    }
    Ok(answer)
}

async fn put(context: Context) -> Answer {
    let submission = Submission {
        jwk: context.body().map_err(|_| malformed())?,
        expires: number(&context, "expiration")?
            .map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
        rotation_duration_s: match number(&context, "rotation")? {
            Some(seconds) => Some(u64::try_from(seconds).map_err(|_| malformed())?),
            None => None,
        },
        ..submission(&context)?
    };
    let keys = context.state.auth.service_keys();
    let submitted = keys.submit(submission, &context.performer()).await;
    Ok(response::empty(match submitted.map_err(failed)? {
        Submitted::Waits => StatusCode::ACCEPTED,
        Submitted::Replaced => StatusCode::OK,
    }))
}

async fn delete(context: Context) -> Answer {
    let submission = submission(&context)?;
    let keys = context.state.auth.service_keys();
    let withdrawn = keys.withdraw(submission, &context.performer()).await;
    withdrawn.map_err(failed)?;
    Ok(response::no_content())
}

/// What every change says: whose key, and the proof.
fn submission(context: &Context) -> Result<Submission, ApiError> {
    let text = |name| {
        let value = context.headers.get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let proof = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, proof) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| proof.trim())
    });
    Ok(Submission {
        service: context.parameter("service").to_owned(),
        key_id: context.parameter("kid").to_owned(),
        jwk: Value::Null,
        proof: proof.ok_or_else(malformed)?.to_owned(),
        audience: context.site_url(),
        expires: None,
        rotation_duration_s: None,
        user_agent: text(header::USER_AGENT).unwrap_or_default().to_owned(),
    })
}

/// A parameter of the query in seconds; Quay takes fractions.
fn number(context: &Context, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = context.text(name) else {
        return Ok(None);
    };
    let number: f64 = text.parse().map_err(|_| malformed())?;
    // What is too large is refused by its bounds, further down.
    let whole = number.is_finite().then_some(number as i64);
    whole.map(Some).ok_or_else(malformed)
}

fn jwk(record: &ServiceKeyRecord) -> Value {
    serde_json::from_str(&record.jwk).unwrap_or_default()
}

fn malformed() -> ApiError {
    ApiError::web(StatusCode::BAD_REQUEST, "Invalid Request")
}

fn failed(error: ServiceKeyError) -> ApiError {
    match error {
        ServiceKeyError::Malformed
        | ServiceKeyError::Name(_)
        | ServiceKeyError::Service(_)
        | ServiceKeyError::Past
        | ServiceKeyError::TooLate
        | ServiceKeyError::Metadata => malformed(),
        ServiceKeyError::Refused | ServiceKeyError::Expired => {
            ApiError::web(StatusCode::FORBIDDEN, "Permission Denied")
        }
        ServiceKeyError::Unknown => ApiError::web(StatusCode::NOT_FOUND, "Not Found"),
        ServiceKeyError::Unapproved => ApiError::web(StatusCode::CONFLICT, "Conflict"),
        ServiceKeyError::TooMany => ApiError::web(StatusCode::TOO_MANY_REQUESTS, error),
        ServiceKeyError::Auth(error) => error.into(),
    }
}
