//! Repositories that copy those of another registry on a schedule, as stored (Quay: repository mirroring).
//!
//! Kept by `store`, carried out by `mirror`, told by the API. What somebody decided (the settings) and how it
//! stands with the runs (the status) are records of their own, since one changes by hand and the other all the
//! time.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RepositoryId, RobotId, Sealed, Timestamp, Visibility};
use crate::oci::Digest;

/// Runs that fail before the next one waits for its time (Quay).
pub const MIRROR_RETRIES: u8 = 3;

/// Mirrors that run side by side.
pub const MIRROR_LANES: usize = 4;

/// How the registry that is copied is reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorSource {
    /// As it was given: `host/path`, or the address of its web page. Of an organisation: its registry's URL.
    pub reference: String,
    /// The account there, if there is one; the user name is sealed too, since some registries take a token as
    /// one.
    pub username: Option<Sealed>,
    pub password: Option<Sealed>,
    pub verify_tls: bool,
    /// Shown only: signatures are demanded by no policy here (Quay: skopeo's insecure policy).
    pub unsigned_images: bool,
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

/// Which tags are copied: those that match a glob, no exclusion and the range, of these the newest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagChoice {
    /// At least one (Quay: `tag_glob_csv`).
    pub globs: Vec<String>,
    pub exclude: Vec<String>,
    /// A range of semantic versions, `>=1.2, <2`; tags that are no version are out of it.
    pub semver: Option<String>,
    /// How many of them, by version, then by name; `None`: all.
    pub newest: Option<u32>,
}

/// What becomes of a tag here that is chosen upstream no more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Deletion {
    /// It ends, and can be restored by the time machine (Quay).
    #[default]
    Delete,
    /// It ends, and its manifest gets the tag `archived-YYYYMMDD-<tag>`.
    Archive,
    /// It stays.
    Keep,
}

/// When no more than so many bytes a second are taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BandwidthWindow {
    /// Minutes after midnight, UTC; from `from` until before `until`, over midnight if that is smaller; both
    /// the same: always.
    pub from: u16,
    pub until: u16,
    /// 0: nothing is taken in that time.
    pub bytes_per_second: u64,
}

/// What Quay's mirrors do not have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorOptions {
    /// When runs begin, in place of the interval: five fields, UTC.
    pub cron: Option<String>,
    pub deletion: Deletion,
    /// Most tags that one run ends, in percent of those held before it; more: none ends, and the run fails.
    pub deletion_cap_percent: u8,
    /// Empty: as fast as it comes. The first that holds now counts.
    pub bandwidth: Vec<BandwidthWindow>,
    /// `os/architecture[/variant]`; of an index only these children are copied. Empty: all.
    pub platforms: Vec<String>,
    /// Signatures, attestations and whatever else points at what is copied are copied too.
    pub referrers: bool,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            cron: None,
            deletion: Deletion::Delete,
            deletion_cap_percent: 100,
            bandwidth: Vec::new(),
            platforms: Vec::new(),
            referrers: true,
        }
    }
}

/// What somebody decided of a repository that is a mirror.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorRecord {
    /// Runs begin by themselves.
    pub enabled: bool,
    pub source: MirrorSource,
    pub tags: TagChoice,
    /// Seconds from the begin of a run to the begin of the next.
    pub interval_s: u64,
    /// In whose name tags move; `None` if it was deleted since.
    pub robot: Option<RobotId>,
    /// Seconds for the listing, and for each tag (Quay: `skopeo_timeout_interval`).
    pub deadline_s: u64,
    /// Quay's filter of architectures, Linux meant; empty: all.
    pub architectures: Vec<String>,
    pub options: MirrorOptions,
    pub created: Timestamp,
    /// It stands in the configuration file and is changed there only.
    pub configured: bool,
}

/// How it stands with a mirror, in Quay's words.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum SyncState {
    #[default]
    NeverRun,
    /// Somebody wants a run now.
    SyncNow,
    Syncing,
    Success,
    Fail,
    /// Somebody ended it; nothing runs until somebody wants it to.
    Cancel,
    /// Of a repository of a mirrored organisation: it is chosen no more.
    Skip,
}

impl SyncState {
    pub const ALL: [Self; 7] = [
        Self::NeverRun,
        Self::SyncNow,
        Self::Syncing,
        Self::Success,
        Self::Fail,
        Self::Cancel,
        Self::Skip,
    ];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverRun => "NEVER_RUN",
            Self::SyncNow => "SYNC_NOW",
            Self::Syncing => "SYNCING",
            Self::Success => "SUCCESS",
            Self::Fail => "FAIL",
            Self::Cancel => "CANCEL",
            Self::Skip => "SKIP",
        }
    }
}

/// How it stands with the runs of a mirror.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorStatus {
    pub state: SyncState,
    /// When the next run is due (Quay: `sync_start_date`); `None` after a cancel.
    pub next: Option<Timestamp>,
    /// Until when the run under way is believed to live (Quay: `sync_expiration_date`).
    pub expires: Option<Timestamp>,
    pub retries_left: u8,
    /// After a run that failed: not before this is the next begun, unless somebody wants it now.
    pub not_before: Option<Timestamp>,
    /// Counts transitions: whoever changes the status must have seen the newest (Quay: transaction id).
    pub generation: u64,
    /// The run under way, or the last one; 0 before the first. A run that is taken up again keeps its number.
    pub run: u64,
    /// What the run under way, or the last one, has come to.
    pub report: MirrorReport,
    pub last_success: Option<Timestamp>,
}

impl MirrorStatus {
    /// A mirror as it begins.
    pub fn new(next: Option<Timestamp>) -> Self {
        Self {
            state: SyncState::NeverRun,
            next,
            expires: None,
            retries_left: MIRROR_RETRIES,
            not_before: None,
            generation: 0,
            run: 0,
            report: MirrorReport::default(),
            last_success: None,
        }
    }
}

/// What a run has come to.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorReport {
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// Tags chosen upstream.
    pub chosen: u64,
    /// Tags that had not changed.
    pub unchanged: u64,
    pub copied: u64,
    pub failed: u64,
    /// Tags that ended here, or were archived.
    pub ended_tags: u64,
    /// Bytes that came from upstream.
    pub bytes: u64,
    /// In words, empty for a run without incident.
    pub message: String,
}

/// What a run came to with one tag; tags that had not changed have no row.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MirrorTagRecord {
    /// The run that wrote it.
    pub run: u64,
    pub at: Timestamp,
    /// What upstream's tag pointed to, if it could be asked.
    pub digest: Option<Digest>,
    /// Why it failed; `None`: it is copied.
    pub failure: Option<String>,
}

/// Which kind of registry a mirrored organisation's repositories are listed from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OrgMirrorKind {
    Harbor,
    Quay,
}

/// What somebody decided of an organisation that is a mirror as a whole (Quay: organization mirroring).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OrgMirrorRecord {
    pub enabled: bool,
    pub kind: OrgMirrorKind,
    pub source: MirrorSource,
    /// The namespace, or project, there.
    pub namespace: String,
    /// Globs of repository names; empty: all.
    pub repositories: Vec<String>,
    pub architectures: Vec<String>,
    /// Of the repositories that are made.
    pub visibility: Visibility,
    /// Stored and shown (Quay): what vanished there is skipped and stays here.
    pub delete_stale: bool,
    pub interval_s: u64,
    pub robot: Option<RobotId>,
    pub deadline_s: u64,
    pub created: Timestamp,
}

/// A repository that was found at the source of a mirrored organisation, by its name there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DiscoveredRecord {
    pub namespace: NamespaceId,
    pub discovered: Timestamp,
    /// What it is here, once it was made.
    pub repository: Option<RepositoryId>,
    pub status: MirrorStatus,
}
