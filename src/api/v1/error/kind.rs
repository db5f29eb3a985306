//! The kinds of exceptions, as `GET /api/v1/error/{error_type}` describes them.

use ::http::StatusCode;

/// What an exception of the API is about (Quay: error types).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::api) enum ErrorKind {
    ExternalServiceTimeout,
    InvalidRequest,
    InvalidResponse,
    InvalidToken,
    ExpiredToken,
    InsufficientScope,
    FreshLoginRequired,
    ExceedsLicense,
    NotFound,
    DownstreamIssue,
    TagImmutable,
    TokenRotationFailed,
}

impl ErrorKind {
    pub(in crate::api) const ALL: [Self; 12] = [
        Self::ExternalServiceTimeout,
        Self::InvalidRequest,
        Self::InvalidResponse,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::InsufficientScope,
        Self::FreshLoginRequired,
        Self::ExceedsLicense,
        Self::NotFound,
        Self::DownstreamIssue,
        Self::TagImmutable,
        Self::TokenRotationFailed,
    ];

    pub(in crate::api) const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalServiceTimeout => "external_service_timeout",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidResponse => "invalid_response",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::FreshLoginRequired => "fresh_login_required",
            Self::ExceedsLicense => "exceeds_license",
            Self::NotFound => "not_found",
            Self::DownstreamIssue => "downstream_issue",
            Self::TagImmutable => "tag_immutable",
            Self::TokenRotationFailed => "token_rotation_failed",
        }
    }

    /// The kind of that name.
    pub(in crate::api) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub(in crate::api) fn status(self) -> StatusCode {
        match self {
            // Quay's own number for what another service did not do.
            Self::ExternalServiceTimeout | Self::DownstreamIssue => {
                StatusCode::from_u16(520).expect("520 is a status")
            }
            Self::InvalidRequest | Self::InvalidResponse => StatusCode::BAD_REQUEST,
            Self::InvalidToken | Self::ExpiredToken | Self::FreshLoginRequired => {
                StatusCode::UNAUTHORIZED
            }
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::ExceedsLicense => StatusCode::PAYMENT_REQUIRED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TagImmutable => StatusCode::CONFLICT,
            Self::TokenRotationFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is said where a door says nothing.
    pub(super) const fn default_detail(self) -> Option<&'static str> {
        match self {
            Self::InvalidToken => Some("Requires authentication"),
            Self::InsufficientScope => Some("Unauthorized"),
            Self::FreshLoginRequired => Some("Requires fresh login"),
            Self::ExceedsLicense => Some("Payment Required"),
            Self::NotFound => Some("Not Found"),
            _ => None,
        }
    }

    /// Where it is described.
    pub(in crate::api) fn url(self, site: &str) -> String {
        format!("{site}/api/v1/error/{}", self.as_str())
    }
}
