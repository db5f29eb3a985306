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
        }
    }
}
