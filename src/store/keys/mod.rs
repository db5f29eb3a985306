//! Every byte of every key, and every range over them. No other file builds either.
//!
//! Numbers are big-endian and times have their sign bit flipped, so that bytes sort as the values
//! do. A digest is [`Digest::to_key`], whose first byte tells its length. A text stands last, so
//! that nothing needs a terminator and no prefix matches its neighbour. Keys of one noun that are many stand
//! in a file of their own below.

mod jobs;
mod logs;
mod notices;
mod oauth;
mod people;
mod repositories;
mod tags;

use std::ops::Bound;

pub(super) use jobs::*;
pub(super) use logs::*;
pub(super) use notices::*;
pub(super) use oauth::*;
pub(super) use people::*;
pub(super) use repositories::*;
pub(super) use tags::*;

use crate::model::{
    AppTokenId, Grantee, Member, NamespaceId, NamespaceName, RepositoryId, Review, RobotId, TeamId,
    Timestamp, Unit, UserId,
};
use crate::oci::{Digest, RepositoryName, Tag};

/// An encoded key.
pub(super) type Key = Vec<u8>;

// === Keys, by what they name ===

pub(super) fn name(name: &str) -> Key {
    name.as_bytes().to_vec()
}

pub(super) fn namespace(id: NamespaceId) -> Key {
    id.0.to_be_bytes().to_vec()
}

pub(super) fn namespace_name(name: &NamespaceName) -> Key {
    name.as_str().as_bytes().to_vec()
}

pub(super) fn repository(id: RepositoryId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// A repository by its name below a namespace.
pub(super) fn repository_name(namespace: NamespaceId, name: &RepositoryName) -> Key {
    [&namespace.0.to_be_bytes(), name.as_str().as_bytes()].concat()
}

/// Where the names of a namespace's repositories begin that follow a text.
pub(super) fn repository_text(namespace: NamespaceId, text: &str) -> Key {
    [&namespace.0.to_be_bytes(), text.as_bytes()].concat()
}

pub(super) fn user(id: UserId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// A user by e-mail address: those that differ only by case are one.
pub(super) fn user_email(email: &str) -> Key {
    email.to_lowercase().into_bytes()
}

pub(super) fn robot(id: RobotId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// A robot by its short name in a namespace.
pub(super) fn robot_name(namespace: NamespaceId, short: &str) -> Key {
    [&namespace.0.to_be_bytes(), short.as_bytes()].concat()
}

pub(super) fn team(id: TeamId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// A team by its name in a namespace.
pub(super) fn team_name(namespace: NamespaceId, name: &str) -> Key {
    [&namespace.0.to_be_bytes(), name.as_bytes()].concat()
}

/// Somebody in a team.
pub(super) fn team_member(team: TeamId, member: Member) -> Key {
    [&team.0.to_be_bytes()[..], &self::member(member)].concat()
}

/// A team that somebody is in, with its namespace.
pub(super) fn member_team(member: Member, namespace: NamespaceId, team: TeamId) -> Key {
    [
        member_namespace(member, namespace),
        team.0.to_be_bytes().to_vec(),
    ]
    .concat()
}

/// The start of every key of somebody's teams in a namespace.
pub(super) fn member_namespace(member: Member, namespace: NamespaceId) -> Key {
    [&self::member(member)[..], &namespace.0.to_be_bytes()].concat()
}

/// A user or a robot, so that users come first.
pub(super) fn member(member: Member) -> Key {
    grantee(match member {
        Member::User(user) => Grantee::User(user),
        Member::Robot(robot) => Grantee::Robot(robot),
    })
}

/// A user, a robot or a team, in this order.
pub(super) fn grantee(grantee: Grantee) -> Key {
    let (kind, id) = match grantee {
        Grantee::User(user) => (1, user.0),
        Grantee::Robot(robot) => (2, robot.0),
        Grantee::Team(team) => (3, team.0),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// A grant on a repository.
pub(super) fn grant(repository: RepositoryId, grantee: Grantee) -> Key {
    [&repository.0.to_be_bytes()[..], &self::grantee(grantee)].concat()
}

pub(super) fn app_token(id: AppTokenId) -> Key {
    id.0.to_be_bytes().to_vec()
}

/// An app token of a user.
pub(super) fn user_app_token(user: UserId, token: AppTokenId) -> Key {
    [user.0.to_be_bytes(), token.0.to_be_bytes()].concat()
}

pub(super) fn digest(digest: &Digest) -> Key {
    digest.to_key()
}

/// A manifest or blob in a repository.
pub(super) fn content(repository: RepositoryId, digest: &Digest) -> Key {
    [&repository.0.to_be_bytes()[..], &digest.to_key()].concat()
}

/// A repository that holds content: [`content`] the other way round.
pub(super) fn holder(digest: &Digest, repository: RepositoryId) -> Key {
    [&digest.to_key()[..], &repository.0.to_be_bytes()].concat()
}

/// A namespace that holds content.
pub(super) fn owner(digest: &Digest, namespace: NamespaceId) -> Key {
    [&digest.to_key()[..], &namespace.0.to_be_bytes()].concat()
}

/// Reads the namespace out of a key that [`owner`] made.
pub(super) fn read_owner(key: &[u8]) -> Option<NamespaceId> {
    let (_, rest) = Digest::from_key(key)?;
    Some(NamespaceId(u64::from_be_bytes(rest.try_into().ok()?)))
}

/// In a repository, what is named and who names it: (child, index), (blob, manifest), (subject,
/// referrer).
pub(super) fn naming(repository: RepositoryId, named: &Digest, by: &Digest) -> Key {
    [
        &repository.0.to_be_bytes()[..],
        &named.to_key(),
        &by.to_key(),
    ]
    .concat()
}

pub(super) fn tag(repository: RepositoryId, tag: &Tag) -> Key {
    [&repository.0.to_be_bytes(), tag.as_str().as_bytes()].concat()
}

/// A tag by what it points to.
pub(super) fn target(repository: RepositoryId, digest: &Digest, tag: &Tag) -> Key {
    [
        &repository.0.to_be_bytes()[..],
        &digest.to_key(),
        tag.as_str().as_bytes(),
    ]
    .concat()
}

/// An ended lifetime of a repository's tags. Later ones sort first.
pub(super) fn lifetime(repository: RepositoryId, sequence: u64) -> Key {
    [repository.0.to_be_bytes(), (!sequence).to_be_bytes()].concat()
}

/// An ended lifetime by what its tag pointed to.
pub(super) fn lifetime_target(repository: RepositoryId, digest: &Digest, sequence: u64) -> Key {
    [
        &repository.0.to_be_bytes()[..],
        &digest.to_key(),
        &(!sequence).to_be_bytes(),
    ]
    .concat()
}

/// An ended lifetime by its tag, whose end is marked by a byte that no tag holds.
pub(super) fn lifetime_tag(repository: RepositoryId, tag: &Tag, sequence: u64) -> Key {
    [
        &lifetimes_of_tag(repository, tag)[..],
        &(!sequence).to_be_bytes(),
    ]
    .concat()
}

/// The start of every key of a tag's ended lifetimes.
pub(super) fn lifetimes_of_tag(repository: RepositoryId, tag: &Tag) -> Key {
    [&repository.0.to_be_bytes(), tag.as_str().as_bytes(), &[0]].concat()
}

/// A review by when it is due.
pub(super) fn review(due: Timestamp, review: &Review) -> Key {
    let subject = match review {
        Review::Tag { tag, .. } => tag.as_str().as_bytes().to_vec(),
        Review::Lifetime { sequence, .. } => sequence.to_be_bytes().to_vec(),
        Review::Manifest { digest, .. } | Review::Blob { digest, .. } => digest.to_key(),
    };
    [
        &time(due)[..],
        &[review_kind(review)],
        &review.repository().0.to_be_bytes(),
        &subject,
    ]
    .concat()
}

/// The start of every key of reviews that are due at `time`.
pub(super) fn due(due: Timestamp) -> Key {
    time(due).to_vec()
}

/// Behind every review that is due at that time, and before those due later.
pub(super) fn end_of_due(due: Timestamp) -> Key {
    let mut end = time(due).to_vec();
    // No kind of review has this number.
    end.push(u8::MAX);
    end
}

const fn review_kind(review: &Review) -> u8 {
    match review {
        Review::Tag { .. } => 1,
        Review::Lifetime { .. } => 2,
        Review::Manifest { .. } => 3,
        Review::Blob { .. } => 4,
    }
}

/// A time in eight bytes that sort as times do.
const fn time(time: Timestamp) -> [u8; 8] {
    (time.as_millis() as u64 ^ SIGN).to_be_bytes()
}

pub(super) fn unit(unit: &Unit) -> Key {
    [
        &unit.namespace.0.to_be_bytes()[..],
        &unit.repository.0.to_be_bytes(),
        &unit.digest.to_key(),
    ]
    .concat()
}

/// A unit by when it was last used.
pub(super) fn used(last_used: Timestamp, unit: &Unit) -> Key {
    [
        &unit.namespace.0.to_be_bytes()[..],
        &time(last_used),
        &unit.repository.0.to_be_bytes(),
        &unit.digest.to_key(),
    ]
    .concat()
}

// === What keys name, read back; `None` for bytes that nobody here wrote ===

/// The number that is all of `bytes`.
pub(super) fn read_number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn read_digest(key: &[u8]) -> Option<Digest> {
    match Digest::from_key(key)? {
        (digest, []) => Some(digest),
        _ => None,
    }
}

/// The name in a key of [`namespace_name`].
pub(super) fn read_namespace_name(key: &[u8]) -> Option<NamespaceName> {
    read_text(key)
}

/// The name in a key of [`repository_name`].
pub(super) fn read_repository_name(key: &[u8]) -> Option<RepositoryName> {
    read_text(number(key)?.1)
}

/// The text that is all of `key`.
pub(super) fn read_name(key: &[u8]) -> Option<String> {
    read_text(key)
}

/// Who is meant, in a key of [`team_member`].
pub(super) fn read_team_member(key: &[u8]) -> Option<Member> {
    match read_grantee(number(key)?.1)? {
        Grantee::User(user) => Some(Member::User(user)),
        Grantee::Robot(robot) => Some(Member::Robot(robot)),
        Grantee::Team(_) => None,
    }
}

/// The namespace and the team in a key of [`member_team`].
pub(super) fn read_member_team(key: &[u8]) -> Option<(NamespaceId, TeamId)> {
    let (_, rest) = key.split_first()?;
    let (namespace, team) = number(number(rest)?.1)?;
    Some((NamespaceId(namespace), TeamId(read_number(team)?)))
}

/// To whom, in a key of [`grant`].
pub(super) fn read_grant(key: &[u8]) -> Option<Grantee> {
    read_grantee(number(key)?.1)
}

/// The token in a key of [`user_app_token`].
pub(super) fn read_user_app_token(key: &[u8]) -> Option<AppTokenId> {
    read_number(number(key)?.1).map(AppTokenId)
}

/// The repository that a key begins with.
pub(super) fn read_repository(key: &[u8]) -> Option<RepositoryId> {
    number(key).map(|(id, _)| RepositoryId(id))
}

/// The digest that a key of [`holder`] or [`owner`] begins with.
pub(super) fn read_first_digest(key: &[u8]) -> Option<Digest> {
    Digest::from_key(key).map(|(digest, _)| digest)
}

/// The digest in a key of [`content`].
pub(super) fn read_content(key: &[u8]) -> Option<Digest> {
    read_digest(number(key)?.1)
}

/// The repository in a key of [`holder`].
pub(super) fn read_holder(key: &[u8]) -> Option<RepositoryId> {
    read_number(Digest::from_key(key)?.1).map(RepositoryId)
}

/// Who names, in a key of [`naming`].
pub(super) fn read_naming(key: &[u8]) -> Option<Digest> {
    read_digest(Digest::from_key(number(key)?.1)?.1)
}

/// The tag in a key of [`tag`].
pub(super) fn read_tag(key: &[u8]) -> Option<Tag> {
    read_text(number(key)?.1)
}

/// The tag in a key of [`target`].
pub(super) fn read_target(key: &[u8]) -> Option<Tag> {
    read_text(Digest::from_key(number(key)?.1)?.1)
}

/// The sequence in a key of [`lifetime`].
pub(super) fn read_lifetime(key: &[u8]) -> Option<u64> {
    read_number(number(key)?.1).map(|inverted| !inverted)
}

/// The sequence in a key of [`lifetime_target`].
pub(super) fn read_lifetime_target(key: &[u8]) -> Option<u64> {
    read_number(Digest::from_key(number(key)?.1)?.1).map(|inverted| !inverted)
}

/// The sequence in a key of [`lifetime_tag`].
pub(super) fn read_lifetime_tag(key: &[u8]) -> Option<u64> {
    let (_, sequence) = key.split_last_chunk()?;
    Some(!u64::from_be_bytes(*sequence))
}

/// The time and the review in a key of [`review`].
pub(super) fn read_review(key: &[u8]) -> Option<(Timestamp, Review)> {
    let (due, rest) = number(key)?;
    let (&kind, rest) = rest.split_first()?;
    let (repository, subject) = number(rest)?;
    let repository = RepositoryId(repository);
    let review = match kind {
        1 => Review::Tag {
            repository,
            tag: std::str::from_utf8(subject).ok()?.parse().ok()?,
        },
        2 => Review::Lifetime {
            repository,
            sequence: read_number(subject)?,
        },
        3 => Review::Manifest {
            repository,
            digest: read_digest(subject)?,
        },
        4 => Review::Blob {
            repository,
            digest: read_digest(subject)?,
        },
        _ => return None,
    };
    Some((Timestamp::from_millis((due ^ SIGN) as i64), review))
}

/// The unit in a key of [`used`].
pub(super) fn read_used(key: &[u8]) -> Option<Unit> {
    let (namespace, rest) = number(key)?;
    let (_, rest) = number(rest)?;
    let (repository, rest) = number(rest)?;
    Some(Unit {
        namespace: NamespaceId(namespace),
        repository: RepositoryId(repository),
        digest: read_digest(rest)?,
    })
}

// === Ranges ===

/// A range of keys.
#[derive(Clone, Debug)]
pub(super) struct Span {
    lower: Bound<Key>,
    upper: Bound<Key>,
}

impl Span {
    /// Every key.
    pub(super) const ALL: Self = Self {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    };

    /// Every key that begins with `prefix`.
    pub(super) fn under(prefix: Key) -> Self {
        Self {
            upper: successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded),
            lower: Bound::Included(prefix),
        }
    }

    /// Every key up to and with those that begin with `prefix`.
    pub(super) fn up_to(prefix: &[u8]) -> Self {
        Self {
            lower: Bound::Unbounded,
            upper: successor(prefix).map_or(Bound::Unbounded, Bound::Excluded),
        }
    }

    /// Every key from those that begin with `prefix` on.
    pub(super) fn from(prefix: Key) -> Self {
        Self {
            lower: Bound::Included(prefix),
            upper: Bound::Unbounded,
        }
    }

    /// Every key from those that begin with `first` to those that begin with `last`; none, if that
    /// stands before it.
    pub(super) fn between(first: Key, last: &[u8]) -> Self {
        let upper = match successor(last) {
            // redb takes no range that ends before it begins.
            Some(upper) if upper < first => Bound::Excluded(first.clone()),
            Some(upper) => Bound::Excluded(upper),
            None => Bound::Unbounded,
        };
        Self {
            lower: Bound::Included(first),
            upper,
        }
    }

    /// Of this range, what comes after `key`; all of it if there is none, nothing if that stands behind it.
    pub(super) fn after(self, key: Option<Key>) -> Self {
        let lower = match (key, &self.upper) {
            (None, _) => self.lower,
            // A range must not end before it begins.
            (Some(key), Bound::Excluded(upper)) if key >= *upper => Bound::Included(upper.clone()),
            (Some(key), _) => Bound::Excluded(key),
        };
        Self {
            lower,
            upper: self.upper,
        }
    }

    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (
            self.lower.as_ref().map(Vec::as_slice),
            self.upper.as_ref().map(Vec::as_slice),
        )
    }
}

/// Flips the sign of a time, so that times before 1970 sort before those after it.
const SIGN: u64 = 1 << 63;

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// Whom a key of [`grantee`] names.
fn read_grantee(key: &[u8]) -> Option<Grantee> {
    let (&kind, id) = key.split_first()?;
    let id = read_number(id)?;
    match kind {
        1 => Some(Grantee::User(UserId(id))),
        2 => Some(Grantee::Robot(RobotId(id))),
        3 => Some(Grantee::Team(TeamId(id))),
        _ => None,
    }
}

fn read_text<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The first key behind all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}

#[cfg(test)]
mod tests;
