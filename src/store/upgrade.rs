//! The forms that records had in earlier releases, and what they become.
//!
//! Read only: whatever is written has the newest form. Every record that is a value stands here.

use serde::Deserialize;

use super::codec::Stored;
use super::robots::RobotRow;
use crate::model::{
    Actor, AppTokenId, AppTokenRecord, ImmutabilityPolicy, InvitationRecord, LabelRecord,
    LinkRecord, LogEntry, ManifestRecord, MessageRecord, NamespaceId, NamespaceKind, NamespaceName,
    NamespaceRecord, NoticeRecord, OauthApplicationId, OauthApplicationRecord,
    OauthAssignmentRecord, OauthTokenId, OauthTokenRecord, PrototypeRecord, PrunePolicy,
    QuotaRecord, RecencyRecord, RepositoryId, RepositoryRecord, RepositoryState, RobotId, Role,
    SigningKeyRecord, TagLifetime, TagPlace, TagRecord, TeamId, TeamRecord, TeamRole, Timestamp,
    UserId, UserRecord, Visibility,
};
use crate::oci::{Digest, MediaType, RepositoryName};

impl Stored for u64 {}
impl Stored for AppTokenId {}
impl Stored for AppTokenRecord {}
impl Stored for ImmutabilityPolicy {}
impl Stored for crate::model::JobRecord {}
impl Stored for QuotaRecord {}
impl Stored for LabelRecord {}
impl Stored for LinkRecord {}
impl Stored for LogEntry {}
impl Stored for InvitationRecord {}
impl Stored for MessageRecord {}
impl Stored for NamespaceId {}
impl Stored for OauthApplicationId {}
impl Stored for OauthApplicationRecord {}
impl Stored for OauthAssignmentRecord {}
impl Stored for OauthTokenId {}
impl Stored for OauthTokenRecord {}
impl Stored for PrototypeRecord {}
impl Stored for PrunePolicy {}
impl Stored for NoticeRecord {}
impl Stored for crate::model::ProxyCacheRecord {}
impl Stored for crate::model::MirrorRecord {}
impl Stored for crate::model::MirrorStatus {}
impl Stored for crate::model::MirrorTagRecord {}
impl Stored for crate::model::OrgMirrorRecord {}
impl Stored for crate::model::DiscoveredRecord {}
impl Stored for RecencyRecord {}
impl Stored for RepositoryId {}
impl Stored for RobotId {}
impl Stored for RobotRow {}
impl Stored for String {}
impl Stored for Role {}
impl Stored for crate::model::ServiceKeyRecord {}
impl Stored for SigningKeyRecord {}
impl Stored for TagLifetime {}
impl Stored for TagPlace {}
impl Stored for TeamId {}
impl Stored for TeamRecord {}
impl Stored for TeamRole {}
impl Stored for Timestamp {}
impl Stored for UserId {}
impl Stored for UserRecord {}
impl Stored for crate::model::BlobRecord {}

/// Reads version 1 in the form `Old`.
fn first<'a, Old, New>(version: u8, payload: &'a [u8]) -> Option<postcard::Result<(New, &'a [u8])>>
where
    Old: Deserialize<'a> + Into<New>,
{
    (version == 1).then(|| old::<Old, New>(payload))
}

/// Reads the form `Old`.
fn old<'a, Old, New>(payload: &'a [u8]) -> postcard::Result<(New, &'a [u8])>
where
    Old: Deserialize<'a> + Into<New>,
{
    let read = postcard::take_from_bytes::<Old>(payload);
    read.map(|(old, rest)| (old.into(), rest))
}

// === Namespaces: all were caches ===

#[derive(Deserialize)]
struct NamespaceRecord1 {
    name: NamespaceName,
    created: Timestamp,
    anonymous_pull: bool,
}

impl From<NamespaceRecord1> for NamespaceRecord {
    fn from(old: NamespaceRecord1) -> Self {
        Self {
            anonymous_pull: old.anonymous_pull,
            ..Self::new(old.name, NamespaceKind::Cache, old.created)
        }
    }
}

impl Stored for NamespaceRecord {
    const VERSION: u8 = 2;

    fn read_old(version: u8, payload: &[u8]) -> Option<postcard::Result<(Self, &[u8])>> {
        first::<NamespaceRecord1, Self>(version, payload)
    }
}

// === Repositories: without visibility and state, all of caches ===

#[derive(Deserialize)]
struct RepositoryRecord1 {
    namespace: NamespaceId,
    name: RepositoryName,
    created: Timestamp,
}

impl From<RepositoryRecord1> for RepositoryRecord {
    fn from(old: RepositoryRecord1) -> Self {
        Self::fetched(old.namespace, old.name, old.created)
    }
}

/// Without a word about content trust.
#[derive(Deserialize)]
struct RepositoryRecord2 {
    namespace: NamespaceId,
    name: RepositoryName,
    created: Timestamp,
    visibility: Visibility,
    state: RepositoryState,
    fetched: bool,
    description: Option<String>,
}

impl From<RepositoryRecord2> for RepositoryRecord {
    fn from(old: RepositoryRecord2) -> Self {
        Self {
            visibility: old.visibility,
            state: old.state,
            fetched: old.fetched,
            description: old.description,
            ..Self::new(old.namespace, old.name, old.created)
        }
    }
}

impl Stored for RepositoryRecord {
    const VERSION: u8 = 3;

    fn read_old(version: u8, payload: &[u8]) -> Option<postcard::Result<(Self, &[u8])>> {
        match version {
            1 => Some(old::<RepositoryRecord1, Self>(payload)),
            2 => Some(old::<RepositoryRecord2, Self>(payload)),
            _ => None,
        }
    }
}

// === Tags: without expiry, immutability and who moved them ===

#[derive(Deserialize)]
struct TagRecord1 {
    digest: Digest,
    since: Timestamp,
    validated: Timestamp,
    missing_since: Option<Timestamp>,
    pinned: bool,
}

impl From<TagRecord1> for TagRecord {
    fn from(old: TagRecord1) -> Self {
        Self {
            validated: old.validated,
            missing_since: old.missing_since,
            pinned: old.pinned,
            ..Self::new(old.digest, old.since, Actor::System)
        }
    }
}

impl Stored for TagRecord {
    const VERSION: u8 = 2;

    fn read_old(version: u8, payload: &[u8]) -> Option<postcard::Result<(Self, &[u8])>> {
        first::<TagRecord1, Self>(version, payload)
    }
}

// === Manifests: without pushes and deletions ===

#[derive(Deserialize)]
struct ManifestRecord1 {
    media_type: MediaType,
    size_bytes: u64,
    children: Vec<Digest>,
    blobs: Vec<(Digest, u64)>,
    subject: Option<Digest>,
    created: Timestamp,
}

impl From<ManifestRecord1> for ManifestRecord {
    fn from(old: ManifestRecord1) -> Self {
        Self {
            media_type: old.media_type,
            size_bytes: old.size_bytes,
            children: old.children,
            blobs: old.blobs,
            subject: old.subject,
            created: old.created,
            pushed: old.created,
            deleted: None,
            expires_after_s: None,
            layers_bytes: None,
        }
    }
}

impl Stored for ManifestRecord {
    const VERSION: u8 = 2;

    fn read_old(version: u8, payload: &[u8]) -> Option<postcard::Result<(Self, &[u8])>> {
        first::<ManifestRecord1, Self>(version, payload)
    }
}
