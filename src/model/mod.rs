//! Nouns the product stores and decides about, without I/O.
//!
//! Records (`...Record`) are what the store keeps; everything else is a value that services pass.

mod actor;
mod blob;
mod credential;
mod doomed;
mod id;
mod immutability;
mod job;
mod label;
mod log_entry;
mod log_kind;
mod manifest;
mod mirror;
mod mirror_wish;
mod namespace;
mod notice;
mod oauth;
mod permission;
mod proxy_cache;
mod prune;
mod quota;
mod recency;
mod repository;
mod review;
mod robot;
mod secret;
mod service_key;
mod size;
mod tag;
mod team;
mod time;
mod upstream;
mod user;
mod uuid;

pub use actor::Actor;
pub use blob::{BlobRecord, LinkRecord};
pub use credential::{AppTokenRecord, Sealed, SigningKeyRecord};
pub use doomed::Doomed;
pub use id::{
    AppTokenId, NamespaceId, OauthApplicationId, OauthTokenId, PrototypeId, RepositoryId, RobotId,
    TeamId, UserId,
};
pub use immutability::{ImmutabilityPolicy, PolicyScope};
pub use job::{Job, JobRecord, Lane};
pub use label::{LabelMedia, LabelRecord, LabelSource};
pub use log_entry::{AppTokenUse, LogEntry, LogFilter, LogPlace, LogScope, OauthUse, Performer};
pub use log_kind::LogKind;
pub use manifest::ManifestRecord;
pub use mirror::{
    BandwidthWindow, Deletion, DiscoveredRecord, MIRROR_LANES, MIRROR_RETRIES, MirrorOptions,
    MirrorRecord, MirrorReport, MirrorSource, MirrorStatus, MirrorTagRecord, OrgMirrorKind,
    OrgMirrorRecord, SyncState, TagChoice,
};
pub use mirror_wish::{
    ConfiguredMirror, MIRROR_ARCHITECTURES, MIRROR_DEADLINE_S, MirrorMore, MirrorWish,
    check_mirror_account, check_mirror_architectures, check_mirror_deadline, check_mirror_globs,
    check_mirror_interval, check_mirror_platforms, check_mirror_reference, check_mirror_windows,
    parse_minutes, parse_rate, show_minutes,
};
pub use namespace::NamespaceName;
pub use notice::{MessageFormat, MessageRecord, NoticeKind, NoticeRecord, Severity};
pub use oauth::{OauthApplicationRecord, OauthAssignmentRecord, OauthTokenRecord};
pub use permission::{Grantee, PrototypeRecord, Role};
pub use proxy_cache::{ProxyAccountRecord, ProxyCacheRecord};
pub use prune::{Age, PrunePolicy, PruneRule};
pub use quota::{LimitKind, QuotaLimit, QuotaRecord};
pub use recency::{RecencyRecord, Unit};
pub use repository::{
    NamespaceKind, NamespaceRecord, RepositoryRecord, RepositoryState, Visibility,
};
pub use review::Review;
pub use robot::{Federation, RobotName, RobotRecord};
pub use secret::Secret;
pub use service_key::{ApprovalKind, ServiceKeyApproval, ServiceKeyRecord};
pub use size::ByteSize;
pub use tag::{TagLifetime, TagList, TagPlace, TagRecord};
pub use team::{InvitationRecord, Invitee, Member, TeamRecord, TeamRole};
pub use time::{Clock, ForwardTime, Timestamp};
pub use upstream::{
    Credentials, PasswordSource, PlatformPolicy, ProxyChoice, UpstreamName, UpstreamRule,
};
pub use user::{Profile, Prompt, UserRecord};
pub use uuid::Uuid;
