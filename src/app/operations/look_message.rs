//! Rows of `entrepot explain` and `entrepot top`.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::model::{NamespaceName, Timestamp};
use crate::oci::{Digest, RepositoryName};
use crate::proxy::{Course, Filling};
use crate::registry::{ManifestPart, Sharer};
use crate::upstream::Standing;

/// How a pull would be answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ExplainRow {
    /// As it was asked for, with the tag that clients put where there is none.
    pub(in crate::app) reference: Target,
    pub(in crate::app) belongs: Belongs,
    /// What the repository is called here, below its organisation; `None` if the name leads nowhere.
    pub(in crate::app) repository: Option<RepositoryName>,
    /// Whether it holds anything, or was made here.
    pub(in crate::app) repository_exists: bool,
    pub(in crate::app) rule: Option<RuleRow>,
    pub(in crate::app) course: Course,
    /// The same in words.
    pub(in crate::app) answer: String,
    pub(in crate::app) pullers: Pullers,
    pub(in crate::app) digest: Option<Digest>,
    /// Since when the tag points there.
    pub(in crate::app) since: Option<Timestamp>,
    /// When upstream last confirmed it.
    pub(in crate::app) validated: Option<Timestamp>,
    /// Seconds since then.
    pub(in crate::app) age_s: Option<u64>,
    /// Seconds for which upstream is still not asked.
    pub(in crate::app) fresh_for_s: Option<u64>,
    /// It was last confirmed longer ago than `expiration_s`: first to be evicted.
    pub(in crate::app) expired: bool,
    /// When the tag ends by itself.
    pub(in crate::app) expires: Option<Timestamp>,
    pub(in crate::app) pinned: bool,
    pub(in crate::app) immutable: bool,
    pub(in crate::app) last_used: Option<Timestamp>,
    pub(in crate::app) manifests: Vec<ManifestPart>,
    pub(in crate::app) blobs: Vec<BlobRow>,
    /// Whether these are all.
    pub(in crate::app) complete: bool,
    /// Bytes of it that are here, and of all of it as far as that is known.
    pub(in crate::app) held_bytes: u64,
    pub(in crate::app) size_bytes: u64,
    /// What would be freed if it were evicted.
    pub(in crate::app) alone_bytes: u64,
    pub(in crate::app) shared_with: Vec<Sharer>,
    pub(in crate::app) upstream: Option<StandingRow>,
}

/// What the first part of a name is here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Belongs {
    /// A cache by the configuration.
    ConfiguredCache,
    /// A cache that was made by the API.
    ApiCache,
    /// No cache any more: what it holds is served.
    FormerCache,
    /// Its content is pushed here.
    Local,
    /// Its content is copied by a mirror.
    Mirrored,
    /// Nobody has that name.
    Unknown,
}

/// Who may pull.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Pullers {
    Everyone,
    /// Accounts with the right to read it.
    Accounts,
    /// The same, but there is no account yet.
    NobodyYet,
}

/// The rule that a cache goes by.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct RuleRow {
    pub(in crate::app) upstream: String,
    pub(in crate::app) endpoint: Option<String>,
    /// What the repository is called there.
    pub(in crate::app) remote_name: Option<RepositoryName>,
    pub(in crate::app) with_account: bool,
    pub(in crate::app) fresh_s: u64,
    /// `None`: never.
    pub(in crate::app) expiration_s: Option<u64>,
    pub(in crate::app) strict_expiration: bool,
}

/// A blob of an image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct BlobRow {
    pub(in crate::app) digest: Digest,
    pub(in crate::app) size_bytes: u64,
    pub(in crate::app) state: BlobState,
    /// Bytes of it that are here.
    pub(in crate::app) held_bytes: u64,
    pub(in crate::app) shared: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum BlobState {
    Held,
    /// A fill runs, or stopped and goes on where it was.
    Partial,
    Missing,
}

/// What is believed of an upstream.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct StandingRow {
    /// It failed, and is not asked for so many seconds.
    pub(in crate::app) shunned_for_s: Option<u64>,
    /// It said 429, and is not asked for so many seconds.
    pub(in crate::app) limited_for_s: Option<u64>,
    pub(in crate::app) announced_limit: Option<i64>,
    pub(in crate::app) announced_remaining: Option<i64>,
    pub(in crate::app) in_flight: u64,
}

impl From<Standing> for StandingRow {
    fn from(standing: Standing) -> Self {
        // Rounded up: what is told has passed when the time has.
        let seconds = |wait: std::time::Duration| wait.as_secs() + 1;
        Self {
            shunned_for_s: standing.shunned_for.map(seconds),
            limited_for_s: standing.limited_for.map(seconds),
            announced_limit: standing.announced.map(|(limit, _)| limit),
            announced_remaining: standing.announced.map(|(_, left)| left),
            in_flight: standing.in_flight,
        }
    }
}

impl std::fmt::Display for StandingRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.shunned_for_s, self.limited_for_s) {
            (Some(wait), _) => write!(f, "down, asked again in {wait} s")?,
            (None, Some(wait)) => write!(f, "limits us, asked again in {wait} s")?,
            (None, None) => f.write_str("up, as far as is known")?,
        }
        match (self.announced_remaining, self.announced_limit) {
            (Some(left), Some(limit)) => write!(f, "; {left} of {limit} pulls left"),
            _ => Ok(()),
        }
    }
}

/// What the server does at one moment; counters count from its start.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct LookRow {
    pub(in crate::app) time: Timestamp,
    pub(in crate::app) version: String,
    pub(in crate::app) connections: u64,
    pub(in crate::app) memory_bytes: u64,
    pub(in crate::app) descriptors: u64,
    /// Requests that are over.
    pub(in crate::app) requests: u64,
    pub(in crate::app) sent_bytes: u64,
    /// Of these, those about manifests: an image that is pulled is one or two.
    pub(in crate::app) manifest_requests: u64,
    pub(in crate::app) pushed_manifests: u64,
    pub(in crate::app) pushed_blobs: u64,
    pub(in crate::app) organizations: Vec<OrganizationLook>,
    pub(in crate::app) fills: Vec<Filling>,
    pub(in crate::app) disk_free_bytes: u64,
    pub(in crate::app) disk_size_bytes: u64,
    pub(in crate::app) disk_reserve_bytes: u64,
    pub(in crate::app) offline: bool,
}

/// One organisation at one moment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct OrganizationLook {
    pub(in crate::app) name: NamespaceName,
    /// Manifests and blobs that were answered from what was held, and all of them.
    pub(in crate::app) hits: u64,
    pub(in crate::app) requests: u64,
    pub(in crate::app) served_bytes: u64,
    pub(in crate::app) fetched_bytes: u64,
    pub(in crate::app) held_bytes: u64,
    pub(in crate::app) limit_bytes: Option<u64>,
    /// Of a cache.
    pub(in crate::app) upstream: Option<StandingRow>,
}
