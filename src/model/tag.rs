//! Tags as stored.

use serde::{Deserialize, Serialize};

use super::{Actor, Timestamp};
use crate::oci::{Digest, Tag};

/// Where a tag points now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagRecord {
    pub digest: Digest,
    /// When it began to point there.
    pub since: Timestamp,
    /// When upstream last confirmed it; of local tags, `since`.
    pub validated: Timestamp,
    /// When upstream first answered 404 for it, if that is the newest answer.
    pub missing_since: Option<Timestamp>,
    /// Never evicted.
    pub pinned: bool,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// It may be neither moved nor deleted.
    pub immutable: bool,
    /// Who pointed it there.
    pub by: Actor,
    /// It was restored from the history, rather than pushed (Quay: `reversion`).
    pub restored: bool,
    /// Where it stands in the history of its repository; the store says it, and nobody else.
    pub place: u64,
}

impl TagRecord {
    /// A tag that points to `digest` from `since` on.
    pub const fn new(digest: Digest, since: Timestamp, by: Actor) -> Self {
        Self {
            digest,
            since,
            validated: since,
            missing_since: None,
            pinned: false,
            expires: None,
            immutable: false,
            by,
            restored: false,
            place: 0,
        }
    }

    /// Whether it has ended by itself, though nobody may have noted that yet.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        !self.immutable && self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A time for which a tag pointed to one manifest, and which has ended; a line of the repository's
/// history, under its sequence number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagLifetime {
    pub tag: Tag,
    pub digest: Digest,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Who pointed it there.
    pub by: Actor,
    /// Who ended it: moved or deleted the tag, or nobody ([`Actor::System`]) when it expired.
    pub ended_by: Actor,
    /// When it would have ended, or has ended, by itself.
    pub expires: Option<Timestamp>,
    pub restored: bool,
    /// Where it stands in the history of its repository, as [`TagRecord::place`].
    pub place: u64,
}

impl TagLifetime {
    /// What remains of a tag's record when it ends.
    pub fn of(tag: Tag, record: TagRecord, end: Timestamp, ended_by: Actor) -> Self {
        Self {
            tag,
            digest: record.digest,
            start: record.since,
            end,
            by: record.by,
            ended_by,
            expires: record.expires,
            restored: record.restored,
            place: record.place,
        }
    }
}

/// A line of a repository's tag history, in the order in which tags began to point somewhere.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagPlace {
    pub tag: Tag,
    pub start: Timestamp,
    /// The number of the ended lifetime; `None` for where the tag points now.
    pub lifetime: Option<u64>,
}

/// A list of a repository's tags in the order in which they began to point where they do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TagList {
    /// Where tags point, and where they pointed.
    All,
    /// Where they point.
    Live,
}
