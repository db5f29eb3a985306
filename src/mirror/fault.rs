//! Why a mirror cannot be made, or be changed so.

use super::Error;
use crate::{registry, store};

/// Why a mirror cannot be made, or be changed so. Texts are fit for clients; most are Quay's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is no such mirror, or it cannot do now what was asked of it.
    #[error("the repository is no mirror")]
    Absent,
    #[error("Mirror configuration already exits for repository {name}")]
    Exists { name: String },
    #[error("{0}")]
    Invalid(String),
    #[error("Could not find robot with specified username")]
    UnknownRobot,
    #[error("Invalid robot")]
    ForeignRobot,
    #[error("The provided registry location is not allowed")]
    Location,
    #[error(
        "Cannot configure repository mirroring: organization is managed by organization-level mirroring"
    )]
    OrganizationMirror,
    #[error("a repository of a cache cannot be a mirror")]
    Cache,
    #[error("{name} is a mirror of the configuration: change MIRRORS in {file}")]
    Configured { name: String, file: String },
    #[error(transparent)]
    Mirror(#[from] Error),
}

impl From<store::Error> for SettingsError {
    fn from(error: store::Error) -> Self {
        Self::Mirror(error.into())
    }
}

impl From<registry::Error> for SettingsError {
    fn from(error: registry::Error) -> Self {
        Self::Mirror(error.into())
    }
}

/// Why an organisation cannot be a mirror, or be one so. Texts are fit for clients; most are Quay's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OrgSettingsError {
    #[error("the organization is no mirror")]
    Absent,
    #[error("Mirror configuration already exists for this organization")]
    Exists,
    #[error("{0}")]
    Invalid(String),
    #[error("Invalid robot account: {0}")]
    InvalidRobot(String),
    #[error("Robot account must belong to the organization")]
    ForeignRobot,
    #[error("The provided registry URL is not allowed")]
    Forbidden,
    #[error(
        "Cannot create organization mirror: the organization already contains repositories. \
         Organization mirroring requires an empty organization."
    )]
    HasRepositories,
    #[error(
        "Cannot create organization mirror: the organization has immutability policies \
         configured. Remove all namespace immutability policies first."
    )]
    HasImmutability,
    #[error(
        "Cannot create organization mirror: the organization has a proxy cache configuration. \
         Remove the proxy cache configuration first."
    )]
    IsCache,
    #[error("Cannot trigger sync: mirror is currently syncing")]
    Busy,
    #[error("Cannot cancel: mirror is already cancelled")]
    Cancelled,
    #[error(transparent)]
    Mirror(#[from] Error),
}

impl From<store::Error> for OrgSettingsError {
    fn from(error: store::Error) -> Self {
        Self::Mirror(error.into())
    }
}

impl From<registry::Error> for OrgSettingsError {
    fn from(error: registry::Error) -> Self {
        Self::Mirror(error.into())
    }
}
