//! Keys of OAuth applications, tokens and assignments.

use super::{Key, number, read_number, read_text};
use crate::model::{NamespaceId, OauthApplicationId, OauthTokenId, UserId};

pub(in crate::store) fn oauth_application(id: OauthApplicationId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// An application of a namespace.
pub(in crate::store) fn namespace_application(
    namespace: NamespaceId,
    application: OauthApplicationId,
) -> Key {
    [namespace.0.to_be_bytes(), application.0.to_be_bytes()].concat()
}

pub(in crate::store) fn oauth_token(id: OauthTokenId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// A token of an application. Later ones sort first.
pub(in crate::store) fn application_token(
    application: OauthApplicationId,
    token: OauthTokenId,
) -> Key {
    [application.0.to_be_bytes(), (!token.0).to_be_bytes()].concat()
}

/// A token that a user gave.
pub(in crate::store) fn user_oauth_token(user: UserId, token: OauthTokenId) -> Key {
    [user.0.to_be_bytes(), token.0.to_be_bytes()].concat()
}

/// An assignment of a user.
pub(in crate::store) fn user_assignment(user: UserId, uuid: &str) -> Key {
    [&user.0.to_be_bytes(), uuid.as_bytes()].concat()
}

/// An assignment of an application.
pub(in crate::store) fn application_assignment(application: OauthApplicationId, uuid: &str) -> Key {
    [&application.0.to_be_bytes(), uuid.as_bytes()].concat()
}

/// The application in a key of [`namespace_application`].
pub(in crate::store) fn read_namespace_application(key: &[u8]) -> Option<OauthApplicationId> {
    read_number(number(key)?.1).map(OauthApplicationId)
}

/// The token in a key of [`application_token`].
pub(in crate::store) fn read_application_token(key: &[u8]) -> Option<OauthTokenId> {
    read_number(number(key)?.1).map(|inverted| OauthTokenId(!inverted))
}

/// The token in a key of [`user_oauth_token`].
pub(in crate::store) fn read_user_oauth_token(key: &[u8]) -> Option<OauthTokenId> {
    read_number(number(key)?.1).map(OauthTokenId)
}

/// The uuid in a key of [`user_assignment`] or [`application_assignment`].
pub(in crate::store) fn read_assignment(key: &[u8]) -> Option<String> {
    read_text(number(key)?.1)
}
