//! Keys of who belongs to an organisation, what is granted there, default permissions and invitations.

use super::{Key, grantee, member, number, read_grantee, read_number};
use crate::model::{
    Doomed, Grantee, Invitee, Member, NamespaceId, PrototypeId, RepositoryId, TeamId, UserId,
};

/// A team of a namespace, in the order in which teams are made.
pub(in crate::store) fn namespace_team(namespace: NamespaceId, team: TeamId) -> Key {
    [namespace.0.to_be_bytes(), team.0.to_be_bytes()].concat()
}

/// Somebody who is in any team of a namespace.
pub(in crate::store) fn namespace_member(namespace: NamespaceId, of: Member) -> Key {
    [&namespace.0.to_be_bytes()[..], &member(of)].concat()
}

/// Somebody to whom something is granted in a namespace.
pub(in crate::store) fn namespace_grantee(namespace: NamespaceId, to: Grantee) -> Key {
    [&namespace.0.to_be_bytes()[..], &grantee(to)].concat()
}

/// A repository that is granted to somebody: [`super::grant`] the other way round, with its namespace.
pub(in crate::store) fn granted(
    to: Grantee,
    namespace: NamespaceId,
    repository: RepositoryId,
) -> Key {
    [
        &grantee_namespace(to, namespace)[..],
        &repository.0.to_be_bytes(),
    ]
    .concat()
}

/// The start of every key of what is granted to somebody in a namespace.
pub(in crate::store) fn grantee_namespace(to: Grantee, namespace: NamespaceId) -> Key {
    [&grantee(to)[..], &namespace.0.to_be_bytes()].concat()
}

/// A default permission of a namespace, in the order in which they are made.
pub(in crate::store) fn prototype(namespace: NamespaceId, id: PrototypeId) -> Key {
    [namespace.0.to_be_bytes(), id.0.to_be_bytes()].concat()
}

/// An invitation of somebody into a team.
pub(in crate::store) fn team_invitation(team: TeamId, invitee: &Invitee) -> Key {
    [&team.0.to_be_bytes()[..], &self::invitee(invitee)].concat()
}

/// The same the other way round, with the team's namespace.
pub(in crate::store) fn invitee_invitation(
    invitee: &Invitee,
    namespace: NamespaceId,
    team: TeamId,
) -> Key {
    [
        &invitee_namespace(invitee, namespace)[..],
        &team.0.to_be_bytes(),
    ]
    .concat()
}

/// The start of every key of somebody's invitations into teams of a namespace.
pub(in crate::store) fn invitee_namespace(invitee: &Invitee, namespace: NamespaceId) -> Key {
    [&self::invitee(invitee)[..], &namespace.0.to_be_bytes()].concat()
}

/// The start of every key of somebody's invitations. An address ends with a byte that none holds.
pub(in crate::store) fn invitee(invitee: &Invitee) -> Key {
    match invitee {
        Invitee::User(user) => [&[1][..], &user.0.to_be_bytes()].concat(),
        Invitee::Email(email) => [&[2], email.as_bytes(), &[0]].concat(),
    }
}

/// What is deleted and whose rows are to be removed.
pub(in crate::store) fn purge(doomed: Doomed) -> Key {
    let (kind, id) = match doomed {
        Doomed::Namespace(namespace) => (1, namespace.0),
        Doomed::User(user) => (2, user.0),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// The team in a key of [`namespace_team`].
pub(in crate::store) fn read_namespace_team(key: &[u8]) -> Option<TeamId> {
    read_number(number(key)?.1).map(TeamId)
}

/// Who is meant, in a key of [`namespace_member`].
pub(in crate::store) fn read_namespace_member(key: &[u8]) -> Option<Member> {
    super::read_team_member(key)
}

/// Who is meant, in a key of [`namespace_grantee`].
pub(in crate::store) fn read_namespace_grantee(key: &[u8]) -> Option<Grantee> {
    read_grantee(number(key)?.1)
}

/// The namespace and the repository in a key of [`granted`].
pub(in crate::store) fn read_granted(key: &[u8]) -> Option<(NamespaceId, RepositoryId)> {
    let (_, rest) = key.split_first()?;
    let (namespace, repository) = number(number(rest)?.1)?;
    let repository = read_number(repository).map(RepositoryId)?;
    Some((NamespaceId(namespace), repository))
}

/// The default permission in a key of [`prototype`].
pub(in crate::store) fn read_prototype(key: &[u8]) -> Option<PrototypeId> {
    read_number(number(key)?.1).map(PrototypeId)
}

/// What is to be removed, in a key of [`purge`].
pub(in crate::store) fn read_purge(key: &[u8]) -> Option<Doomed> {
    let (&kind, id) = key.split_first()?;
    let id = read_number(id)?;
    match kind {
        1 => Some(Doomed::Namespace(NamespaceId(id))),
        2 => Some(Doomed::User(UserId(id))),
        _ => None,
    }
}
