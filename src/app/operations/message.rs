//! Requests and the frames of their answers, as they cross the control socket: one JSON a line.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::backup_message::{BackupWish, PartRow, SnapshotRow};
use super::bundle_message::{
    ExportRow, ExportWish, ImportRow, ImportWish, LeftRow, VolumeRow, WarmWish, WarmedRow,
};
use super::look_message::{ExplainRow, LookRow};
use super::{GranteeName, Rate, RepositoryPath, Target};
use crate::bundle::KeyLine;
use crate::model::{NamespaceName, RobotName, Role, Secret, Timestamp};
use crate::oci::{Digest, Tag};
use crate::registry::{GcReport, HeldTag, Holding};

/// What is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum Request {
    List {
        scope: Option<Target>,
    },
    Remove {
        targets: Vec<Target>,
        all: bool,
    },
    Refresh {
        targets: Vec<Target>,
    },
    Pin {
        targets: Vec<Target>,
        pinned: bool,
    },
    Sweep {},
    Status {},
    /// How a pull would be answered.
    Explain {
        target: Target,
    },
    /// What the server does, once a second; `None`: until nobody listens.
    Top {
        looks: Option<u32>,
    },
    CreateUser(NewUser),
    ImportUsers {
        users: Vec<ImportedUser>,
    },
    SetPassword {
        name: NamespaceName,
        password: Clear,
    },
    SetEnabled {
        name: NamespaceName,
        enabled: bool,
    },
    ListUsers {},
    CreateRobot(NewRobot),
    ListRobots {
        namespace: NamespaceName,
    },
    RegenerateRobot {
        name: RobotName,
    },
    RemoveRobot {
        name: RobotName,
    },
    ListGrants {
        repository: RepositoryPath,
    },
    Grant {
        repository: RepositoryPath,
        grantee: GranteeName,
        role: Role,
    },
    Revoke {
        repository: RepositoryPath,
        grantee: GranteeName,
    },
    ListRepositories {
        namespace: Option<NamespaceName>,
    },
    CreateRepository {
        repository: RepositoryPath,
        public: bool,
    },
    SetVisibility {
        repository: RepositoryPath,
        public: bool,
    },
    ListOrganizations {},
    CreateOrganization {
        name: NamespaceName,
        owner: Option<NamespaceName>,
    },
    ListTags {
        repository: RepositoryPath,
    },
    /// Of a repository, or of one tag.
    ListHistory {
        scope: Target,
    },
    RestoreTag {
        target: Target,
    },
    SetImmutable {
        targets: Vec<Target>,
        immutable: bool,
    },
    SetExpiry {
        targets: Vec<Target>,
        expiry: Expiry,
    },
    Collect {
        dry_run: bool,
    },
    Prune {
        /// A namespace or a repository; `None`: everything.
        scope: Option<Target>,
        dry_run: bool,
    },
    Mirror {
        repository: RepositoryPath,
        dry_run: bool,
    },
    Check {
        repair: bool,
    },
    Recount {
        repair: bool,
    },
    Scrub {
        /// `None`: as configured.
        bandwidth: Option<Rate>,
    },
    /// Takes one file if it says what the receiver has.
    Export(ExportWish),
    /// Takes the volumes.
    Import(ImportWish),
    Inventory {},
    /// What of a bundle is here; takes one file, its description.
    Present {},
    MakeKey {},
    ListKeys {},
    TrustKey {
        text: String,
    },
    DistrustKey {
        id: String,
    },
    /// Takes one file, without bytes, whose end says that every blob was copied.
    Backup(BackupWish),
    /// Takes one file, the list.
    Warm(WarmWish),
}

impl Request {
    /// How many files follow it.
    pub(in crate::app) const fn files(&self) -> usize {
        match self {
            Self::Export(wish) => wish.since.is_some() as usize,
            Self::Import(wish) => wish.files.len(),
            Self::Backup(wish) => wish.rows as usize,
            Self::Warm(_) | Self::Present {} => 1,
            _ => 0,
        }
    }
}

/// When a tag is to end by itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Expiry {
    At { time: Timestamp },
    After { duration: Duration },
    Never {},
}

/// A user to be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct NewUser {
    pub(in crate::app) name: NamespaceName,
    pub(in crate::app) email: Option<String>,
    pub(in crate::app) password: Clear,
    pub(in crate::app) superuser: bool,
}

/// A user of another registry to be taken over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct ImportedUser {
    pub(in crate::app) name: NamespaceName,
    /// Of bcrypt.
    pub(in crate::app) hash: Clear,
}

/// A robot to be made, with what it may do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct NewRobot {
    pub(in crate::app) name: RobotName,
    pub(in crate::app) description: String,
    pub(in crate::app) grants: Vec<(RepositoryPath, Role)>,
}

/// A secret on its way between two processes of one operator, through a socket that only they can
/// open. `Debug` does not show it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub(in crate::app) struct Clear(pub(in crate::app) Secret);

impl Serialize for Clear {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// One line of an answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Frame {
    Row(Row),
    Progress {
        text: String,
    },
    Done {
        text: String,
    },
    Failed {
        reason: String,
    },
    /// A piece of what was asked for that is no list; it crosses the socket as it is.
    #[serde(skip)]
    Bytes(bytes::Bytes),
}

/// One thing of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Row {
    Organization(Holding),
    Tag(TagRow),
    Status(StatusRow),
    Explain(Box<ExplainRow>),
    Look(Box<LookRow>),
    Change(ChangeRow),
    User(UserRow),
    Robot(RobotRow),
    /// The token that a robot was just given.
    Token(Clear),
    Grant(GrantRow),
    Repository(RepositoryRow),
    LocalOrganization(OrganizationRow),
    LocalTag(LocalTagRow),
    Lifetime(LifetimeRow),
    Pruned(PrunedRow),
    Mirrored(MirroredRow),
    Collected(CollectedRow),
    Finding(FindingRow),
    Checked(CheckedRow),
    Damage(DamageRow),
    Scrubbed(ScrubRow),
    Export(ExportRow),
    /// A volume whose bytes follow.
    Volume(VolumeRow),
    /// Something that is not complete.
    Left(LeftRow),
    Import(ImportRow),
    Key(KeyLine),
    Warmed(WarmedRow),
    /// A file of a backup whose bytes follow.
    Part(PartRow),
    /// What a backup has, behind its files.
    Snapshot(SnapshotRow),
}

/// A tag that is held.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct TagRow {
    pub(in crate::app) organization: NamespaceName,
    #[serde(flatten)]
    pub(in crate::app) tag: HeldTag,
}

/// Something that was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ChangeRow {
    pub(in crate::app) target: Target,
    /// `removed`, `pinned`, `restored`, `expires` and when, or how a refreshed tag came out.
    pub(in crate::app) outcome: String,
    /// Bytes that the organisation no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::app) freed_bytes: Option<u64>,
}

/// How the site is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct StatusRow {
    pub(in crate::app) version: String,
    /// Process that answers: the server, or the command itself.
    pub(in crate::app) process: u32,
    pub(in crate::app) store_works: bool,
    pub(in crate::app) disk_free_bytes: u64,
    pub(in crate::app) disk_size_bytes: u64,
    pub(in crate::app) disk_reserve_bytes: u64,
    pub(in crate::app) organizations: Vec<Holding>,
}

/// A user.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct UserRow {
    pub(in crate::app) name: NamespaceName,
    pub(in crate::app) email: Option<String>,
    pub(in crate::app) enabled: bool,
    /// By the store or by `SUPER_USERS`.
    pub(in crate::app) superuser: bool,
    pub(in crate::app) created: Timestamp,
}

/// A robot, without its token.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct RobotRow {
    pub(in crate::app) name: RobotName,
    pub(in crate::app) description: String,
    pub(in crate::app) created: Timestamp,
}

/// Who may do what in a repository.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct GrantRow {
    pub(in crate::app) repository: RepositoryPath,
    pub(in crate::app) name: GranteeName,
    /// `read`, `write` or `admin`.
    pub(in crate::app) role: String,
}

/// A repository.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct RepositoryRow {
    pub(in crate::app) repository: RepositoryPath,
    /// One word: `public`, `private`, or `cache` where the organisation's configuration decides.
    pub(in crate::app) visibility: String,
    pub(in crate::app) created: Timestamp,
}

/// An organisation that is no cache.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct OrganizationRow {
    pub(in crate::app) organization: NamespaceName,
    pub(in crate::app) created: Timestamp,
}

/// A tag of a local repository.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct LocalTagRow {
    pub(in crate::app) repository: RepositoryPath,
    pub(in crate::app) tag: Tag,
    pub(in crate::app) digest: Digest,
    /// When it began to point there.
    pub(in crate::app) since: Timestamp,
    /// Who pointed it there.
    pub(in crate::app) by: String,
    pub(in crate::app) expires: Option<Timestamp>,
    pub(in crate::app) immutable: bool,
}

/// What a tag of a local repository pointed to, and no longer does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct LifetimeRow {
    pub(in crate::app) repository: RepositoryPath,
    pub(in crate::app) tag: Tag,
    pub(in crate::app) digest: Digest,
    pub(in crate::app) from: Timestamp,
    pub(in crate::app) to: Timestamp,
    pub(in crate::app) by: String,
    pub(in crate::app) ended_by: String,
    /// Until then it can be restored.
    pub(in crate::app) until: Timestamp,
    /// It had itself been restored.
    pub(in crate::app) restored: bool,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct FindingRow {
    pub(in crate::app) finding: String,
    /// Whether it was put right.
    pub(in crate::app) repaired: bool,
    /// Whether `--repair` would put it right, or has.
    pub(in crate::app) repairable: bool,
    /// Whether nobody can fetch again what is gone.
    pub(in crate::app) lost: bool,
}

/// A tag that has ended by a policy, or would.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct PrunedRow {
    pub(in crate::app) repository: RepositoryPath,
    pub(in crate::app) tag: Tag,
    pub(in crate::app) digest: Digest,
    /// When it began to point there.
    pub(in crate::app) since: Timestamp,
    pub(in crate::app) reason: String,
}

/// What a run of a mirror came to with a tag, or would.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct MirroredRow {
    pub(in crate::app) tag: Tag,
    /// `copy`, `end`, `fail` of a plan; `copied`, `failed` of a run.
    pub(in crate::app) action: String,
    pub(in crate::app) digest: Option<Digest>,
    /// Of blobs that would come.
    pub(in crate::app) bytes: Option<u64>,
    pub(in crate::app) reason: Option<String>,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct CollectedRow {
    #[serde(flatten)]
    pub(in crate::app) report: GcReport,
    /// When the first thing that is kept for now is looked at.
    pub(in crate::app) next_review: Option<Timestamp>,
}

/// What a check looked at and found, at its end.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct CheckedRow {
    pub(in crate::app) blobs: u64,
    pub(in crate::app) manifests: u64,
    pub(in crate::app) namespaces: u64,
    pub(in crate::app) repositories: u64,
    pub(in crate::app) findings: u64,
    pub(in crate::app) repaired: u64,
}

/// Content whose bytes are not, or no longer, those of its digest.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct DamageRow {
    pub(in crate::app) digest: Digest,
    /// `blob` or `manifest`.
    pub(in crate::app) kind: String,
    /// `damaged` or `absent`.
    pub(in crate::app) state: String,
    /// Nobody can fetch it again.
    pub(in crate::app) lost: bool,
    /// Some of those that have it, or the caches of a blob.
    pub(in crate::app) repositories: Vec<String>,
    /// There are more than those.
    pub(in crate::app) more: bool,
}

/// What a scrub found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ScrubRow {
    pub(in crate::app) blobs: u64,
    pub(in crate::app) manifests: u64,
    pub(in crate::app) read_bytes: u64,
    pub(in crate::app) damaged: u64,
    pub(in crate::app) absent: u64,
    /// Of both, what nobody can fetch again.
    pub(in crate::app) lost: u64,
}

impl Row {
    /// The row as one JSON object, times in RFC 3339.
    pub(in crate::app) fn json(&self) -> serde_json::Value {
        let value = match self {
            Self::Organization(holding) => serde_json::to_value(holding),
            Self::Tag(row) => serde_json::to_value(row),
            Self::Status(row) => serde_json::to_value(row),
            Self::Explain(row) => serde_json::to_value(row),
            Self::Look(row) => serde_json::to_value(row),
            Self::Change(row) => serde_json::to_value(row),
            Self::User(row) => serde_json::to_value(row),
            Self::Robot(row) => serde_json::to_value(row),
            Self::Token(token) => serde_json::to_value(token),
            Self::Grant(row) => serde_json::to_value(row),
            Self::Repository(row) => serde_json::to_value(row),
            Self::LocalTag(row) => serde_json::to_value(row),
            Self::Lifetime(row) => serde_json::to_value(row),
            Self::LocalOrganization(row) => serde_json::to_value(row),
            Self::Pruned(row) => serde_json::to_value(row),
            Self::Mirrored(row) => serde_json::to_value(row),
            Self::Collected(row) => serde_json::to_value(row),
            Self::Finding(row) => serde_json::to_value(row),
            Self::Checked(row) => serde_json::to_value(row),
            Self::Damage(row) => serde_json::to_value(row),
            Self::Scrubbed(row) => serde_json::to_value(row),
            Self::Export(row) => serde_json::to_value(row),
            Self::Volume(row) => serde_json::to_value(row),
            Self::Left(row) => serde_json::to_value(row),
            Self::Import(row) => serde_json::to_value(row),
            Self::Key(row) => serde_json::to_value(row),
            Self::Warmed(row) => serde_json::to_value(row),
            Self::Part(row) => serde_json::to_value(row),
            Self::Snapshot(row) => serde_json::to_value(row),
        };
        let mut value = value.expect("names, numbers and times are always JSON");
        for (key, time) in self.times() {
            value[key] = time.map(|time| time.to_string()).into();
        }
        value
    }

    fn times(&self) -> Vec<(&'static str, Option<Timestamp>)> {
        match self {
            Self::Tag(TagRow { tag, .. }) => vec![
                ("validated", Some(tag.validated)),
                ("last_used", tag.last_used),
            ],
            Self::Explain(row) => vec![
                ("since", row.since),
                ("validated", row.validated),
                ("expires", row.expires),
                ("last_used", row.last_used),
            ],
            Self::Look(row) => vec![("time", Some(row.time))],
            Self::User(row) => vec![("created", Some(row.created))],
            Self::Robot(row) => vec![("created", Some(row.created))],
            Self::Repository(row) => vec![("created", Some(row.created))],
            Self::LocalOrganization(row) => vec![("created", Some(row.created))],
            Self::Pruned(row) => vec![("since", Some(row.since))],
            Self::Collected(row) => vec![("next_review", row.next_review)],
            Self::Export(row) => vec![("created", Some(row.created))],
            Self::LocalTag(row) => vec![("since", Some(row.since)), ("expires", row.expires)],
            Self::Lifetime(row) => vec![
                ("from", Some(row.from)),
                ("to", Some(row.to)),
                ("until", Some(row.until)),
            ],
            _ => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SE-01: requests and rows can be put into a log without telling a secret.
    #[test]
    fn secrets_cross_the_socket_and_are_never_shown() {
        let password = Clear(Secret::new("secret-word"));
        let request = Request::SetPassword {
            name: "ann".parse().unwrap(),
            password: password.clone(),
        };
        assert!(!format!("{request:?}").contains("secret-word"));
        assert!(!format!("{:?}", Row::Token(password)).contains("secret-word"));
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }
}
