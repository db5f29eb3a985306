//! OAuth: applications of organisations, and the tokens that people gave them.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, OauthApplicationId, Sealed, Timestamp, UserId};

/// An application, owned by an organisation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OauthApplicationRecord {
    pub namespace: NamespaceId,
    /// By which it names itself; not secret.
    pub client_id: String,
    /// What proves that it is itself; can be shown again.
    pub client_secret: Sealed,
    pub name: String,
    pub description: String,
    /// Where people read about it.
    pub application_uri: String,
    /// Where people are sent back to after they have decided; empty if nowhere.
    pub redirect_uri: String,
    pub avatar_email: Option<String>,
    pub created: Timestamp,
}

/// A token of an application, which acts for a person within its scope.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OauthTokenRecord {
    pub application: OauthApplicationId,
    pub user: UserId,
    /// By which it is named where it can be seen without being used.
    pub uuid: String,
    /// The first half of the token, by which it is found; not secret.
    pub lookup: String,
    /// SHA-256 of the whole token. It has 119 random bits and needs no slow hash.
    pub hash: [u8; 32],
    /// The names of its scopes, separated by spaces.
    pub scope: String,
    /// What its maker calls it, if it was made by name rather than by consent.
    pub name: Option<String>,
    /// The name of who made it, of that time.
    pub created_by: Option<String>,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub last_accessed: Option<Timestamp>,
}

/// A token that somebody is offered and has not taken yet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OauthAssignmentRecord {
    pub application: OauthApplicationId,
    pub user: UserId,
    pub redirect_uri: String,
    pub scope: String,
    pub response_type: String,
    pub created: Timestamp,
}
