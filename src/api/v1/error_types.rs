//! What the kinds of errors mean: where `type` of every exception leads (`quay-api` section 2.1).

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::rows::{Answer, Rows};
use crate::auth::Need;

/// The rows of this resource.
pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        "/api/v1/error/{error_type}",
        "getErrorDescription",
        "error",
        Need::Anyone,
        show,
    )
    .summary("Tells what a kind of error means.")
    .answer::<ErrorTypeView>(200, "The kind of error");
}

#[derive(Serialize, ToSchema)]
struct ErrorTypeView {
    #[serde(rename = "type")]
    url: String,
    title: &'static str,
    description: &'static str,
}

async fn show(context: Context) -> Answer {
    let kind = ErrorKind::of_name(context.parameter("error_type"));
    let kind = kind.ok_or_else(ApiError::not_found)?;
    let view = ErrorTypeView {
        url: kind.url(&context.site_url()),
        title: kind.as_str(),
        description: description(kind),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

const fn description(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExternalServiceTimeout => {
            "An outside service did not answer in time. Trying again may help."
        }
        ErrorKind::InvalidRequest => {
            "The request is malformed, or holds values that are not valid."
        }
        ErrorKind::InvalidResponse => "The server made or received an answer that is not valid.",
        ErrorKind::InvalidToken => "The credentials are missing or not valid.",
        ErrorKind::ExpiredToken => "The token has expired.",
        ErrorKind::InsufficientScope => {
            "The caller is known, but lacks the right or the scope for this."
        }
        ErrorKind::FreshLoginRequired => "The password must have been shown a short time ago.",
        ErrorKind::ExceedsLicense => "A limit of the plan or the licence is reached.",
        ErrorKind::NotFound => "There is no such resource.",
        ErrorKind::DownstreamIssue => "A service that this one builds on has failed.",
        ErrorKind::TagImmutable => "The tag is protected from being changed or deleted.",
        ErrorKind::TokenRotationFailed => "The bootstrap token could not be renewed.",
    }
}
