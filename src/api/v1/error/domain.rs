//! What the rooms below say, in the forms of this dialect. No arm is left open, so that a new failure
//! cannot be forgotten at the edge.

use std::time::Duration;

use super::{ApiError, ErrorKind};
use crate::accounts::{NameFault, Noun};
use crate::api::searches::Busy;
use crate::registry::{LabelFault, PolicyFault, PruneFault, QuotaFault};
use crate::{accounts, auth, mirror, notify, registry};

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::Busy {
            retry_after: Duration::from_secs(1),
        }
    }
}

impl From<auth::Error> for ApiError {
    fn from(error: auth::Error) -> Self {
        match error {
            auth::Error::Throttled { retry_after } => Self::Throttled { retry_after },
            error if error.is_refusal() => Self::unauthenticated(),
            // AZ-15: who asks, or what they may, could not be found out; nothing is decided by that.
            error => Self::unavailable(&error),
        }
    }
}

impl From<accounts::Error> for ApiError {
    fn from(error: accounts::Error) -> Self {
        match error {
            accounts::Error::Unknown { .. } => Self::not_found(),
            accounts::Error::InvalidName {
                noun,
                ref name,
                fault,
            } => invalid_name(noun, name, fault),
            accounts::Error::NameTaken { .. }
            | accounts::Error::Exists { .. }
            | accounts::Error::Invalid { .. }
            | accounts::Error::Foreign { .. }
            | accounts::Error::NoOrganization { .. }
            | accounts::Error::GrantToOwner
            | accounts::Error::LastAdminTeam
            | accounts::Error::OwnLastAdminTeam { .. }
            | accounts::Error::LastAdmin
            | accounts::Error::InTeam { .. }
            | accounts::Error::NotInTeam { .. }
            | accounts::Error::InvitedOther { .. }
            | accounts::Error::TooManyPrototypes { .. }
            | accounts::Error::TooManyTeams { .. }
            | accounts::Error::HasUsers
            | accounts::Error::TokenLimit { .. } => Self::refused(error),
            accounts::Error::SealBroken { .. } => Self::failed(&error),
            accounts::Error::Stopping => Self::Unavailable,
            accounts::Error::Store(error) if error.is_temporary() => Self::unavailable(&error),
            accounts::Error::Store(error) => Self::failed(&error),
        }
    }
}

/// What is wrong with a name, in Quay's words and, for teams, in its other form.
fn invalid_name(noun: Noun, name: &str, fault: NameFault) -> ApiError {
    let rule = match (fault, noun) {
        (NameFault::Form, _) => "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$",
        (NameFault::Length, Noun::Team) => "Team must be between 2 and 255 characters in length",
        (NameFault::Length, _) => "Namespace must be between 2 and 255 characters in length",
    };
    match noun {
        Noun::Team => ApiError::refused(format!("Invalid team name {name}: {rule}")),
        Noun::Robot => ApiError::invalid(format!(
            "The name for the robot '{name}' is invalid: {rule}"
        )),
        _ => ApiError::invalid(format!("Invalid namespace {name}: {rule}")),
    }
}

impl From<registry::Error> for ApiError {
    fn from(error: registry::Error) -> Self {
        match error {
            registry::Error::NameUnknown
            | registry::Error::ManifestUnknown
            | registry::Error::BlobUnknown
            | registry::Error::UploadUnknown => Self::not_found(),
            registry::Error::TagImmutable { ref tag } => {
                let text = format!("Cannot overwrite immutable tag '{tag}'");
                Self::exception(ErrorKind::TagImmutable, text)
            }
            registry::Error::Label(LabelFault::Unknown)
            | registry::Error::Policy(PolicyFault::Unknown)
            | registry::Error::Prune(PruneFault::Unknown)
            | registry::Error::Quota(QuotaFault::Unknown) => Self::not_found(),
            registry::Error::Quota(fault) => Self::invalid(fault),
            registry::Error::Label(fault) => Self::refused(fault),
            registry::Error::Policy(fault) => Self::invalid(fault),
            registry::Error::Prune(fault) => Self::invalid(fault),
            registry::Error::Exists
            | registry::Error::ExpiryPast
            | registry::Error::ManifestInvalid { .. }
            | registry::Error::ManifestBlobUnknown { .. }
            | registry::Error::SizeInvalid { .. }
            | registry::Error::Precondition { .. }
            | registry::Error::Superseded
            | registry::Error::BlobInUse { .. }
            | registry::Error::QuotaExceeded
            | registry::Error::ReadOnly
            | registry::Error::OrganizationMirror => Self::invalid(error),
            registry::Error::NoRoom(_) => Self::Unavailable,
            registry::Error::Corrupt { .. }
            | registry::Error::NoRandomness
            | registry::Error::Blob(_) => Self::failed(&error),
            registry::Error::Store(error) if error.is_temporary() => Self::unavailable(&error),
            registry::Error::Store(error) => Self::failed(&error),
        }
    }
}

impl From<mirror::Error> for ApiError {
    fn from(error: mirror::Error) -> Self {
        match error {
            mirror::Error::NoMirror => Self::not_found(),
            mirror::Error::Off(_)
            | mirror::Error::Busy
            | mirror::Error::Cancelled
            | mirror::Error::Reference(_)
            | mirror::Error::Sealed
            | mirror::Error::NoRobot
            | mirror::Error::Setting(_)
            | mirror::Error::Upstream(_) => Self::invalid(error),
            mirror::Error::Registry(error) => error.into(),
            mirror::Error::Blob(error) => Self::failed(&error),
        }
    }
}

impl From<notify::Error> for ApiError {
    fn from(error: notify::Error) -> Self {
        match error {
            notify::Error::NoticeUnknown => Self::not_found(),
            notify::Error::TooManyMessages { .. } | notify::Error::MessageSize { .. } => {
                Self::invalid(error)
            }
            notify::Error::NoRandomness => Self::failed(&error),
            notify::Error::Store(error) if error.is_temporary() => Self::unavailable(&error),
            notify::Error::Store(error) => Self::failed(&error),
        }
    }
}
