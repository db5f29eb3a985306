//! Keys of what is kept about repositories beside their content: deletions, stars, policies, labels.

use super::{Key, content, number, read_number};
use crate::model::{NamespaceId, PolicyScope, RepositoryId, UserId, Uuid};
use crate::oci::Digest;

/// A repository that is being removed, below its namespace.
pub(in crate::store) fn doomed(namespace: NamespaceId, repository: RepositoryId) -> Key {
    [namespace.0.to_be_bytes(), repository.0.to_be_bytes()].concat()
}

/// A user's star.
pub(in crate::store) fn star(user: UserId, repository: RepositoryId) -> Key {
    [user.0.to_be_bytes(), repository.0.to_be_bytes()].concat()
}

/// A star of a repository: [`star`] the other way round.
pub(in crate::store) fn stargazer(repository: RepositoryId, user: UserId) -> Key {
    [repository.0.to_be_bytes(), user.0.to_be_bytes()].concat()
}

/// The start of every key of a scope's policies.
pub(in crate::store) fn policies(scope: PolicyScope) -> Key {
    let (kind, id) = match scope {
        PolicyScope::Namespace(id) => (1, id.0),
        PolicyScope::Repository(id) => (2, id.0),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

pub(in crate::store) fn policy(scope: PolicyScope, id: Uuid) -> Key {
    [&policies(scope)[..], &id.0].concat()
}

/// The scope and the id in a key of [`policy`].
pub(in crate::store) fn read_policy(key: &[u8]) -> Option<(PolicyScope, Uuid)> {
    let (scope, uuid) = key.split_last_chunk()?;
    let (&kind, id) = scope.split_first()?;
    let scope = match (kind, read_number(id)?) {
        (1, id) => PolicyScope::Namespace(NamespaceId(id)),
        (2, id) => PolicyScope::Repository(RepositoryId(id)),
        _ => return None,
    };
    Some((scope, Uuid(*uuid)))
}

/// A label of a manifest in a repository.
pub(in crate::store) fn label(repository: RepositoryId, digest: &Digest, id: Uuid) -> Key {
    [&content(repository, digest)[..], &id.0].concat()
}

/// The namespace and the repository in a key of [`doomed`].
pub(in crate::store) fn read_doomed(key: &[u8]) -> Option<(NamespaceId, RepositoryId)> {
    let (namespace, rest) = number(key)?;
    Some((NamespaceId(namespace), RepositoryId(read_number(rest)?)))
}

/// The repository in a key of [`star`].
pub(in crate::store) fn read_star(key: &[u8]) -> Option<RepositoryId> {
    read_number(number(key)?.1).map(RepositoryId)
}

/// The user in a key of [`star`].
pub(in crate::store) fn read_star_user(key: &[u8]) -> Option<UserId> {
    number(key).map(|(id, _)| UserId(id))
}

/// The user in a key of [`stargazer`].
pub(in crate::store) fn read_stargazer(key: &[u8]) -> Option<UserId> {
    read_number(number(key)?.1).map(UserId)
}

/// The id that a key of [`policy`] or [`label`] ends with.
pub(in crate::store) fn read_last_uuid(key: &[u8]) -> Option<Uuid> {
    key.split_last_chunk().map(|(_, uuid)| Uuid(*uuid))
}
