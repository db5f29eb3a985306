//! What somebody is told inside the product, and what everyone is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{NamespaceId, Timestamp};

/// Why somebody is told something (Quay: notification kinds).
///
/// New kinds go to the end: records hold the place in this list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum NoticeKind {
    RepoPush,
    BuildQueued,
    BuildStart,
    BuildSuccess,
    BuildCancelled,
    BuildFailure,
    VulnerabilityFound,
    RepoMirrorSyncStarted,
    RepoMirrorSyncSuccess,
    RepoMirrorSyncFailed,
    QuotaWarning,
    QuotaError,
    /// An invitation into a team: `code, inviter, org, team`.
    OrgTeamInvite,
    /// A token that waits to be accepted: `username`.
    AssignedAuthorization,
    /// A service key that waits for approval, one notice a superuser.
    ServiceKeySubmitted,
    PasswordRequired,
    TestNotification,
}

impl NoticeKind {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RepoPush => "repo_push",
            Self::BuildQueued => "build_queued",
            Self::BuildStart => "build_start",
            Self::BuildSuccess => "build_success",
            Self::BuildCancelled => "build_cancelled",
            Self::BuildFailure => "build_failure",
            Self::VulnerabilityFound => "vulnerability_found",
            Self::RepoMirrorSyncStarted => "repo_mirror_sync_started",
            Self::RepoMirrorSyncSuccess => "repo_mirror_sync_success",
            Self::RepoMirrorSyncFailed => "repo_mirror_sync_failed",
            Self::QuotaWarning => "quota_warning",
            Self::QuotaError => "quota_error",
            Self::OrgTeamInvite => "org_team_invite",
            Self::AssignedAuthorization => "assigned_authorization",
            Self::ServiceKeySubmitted => "service_key_submitted",
            Self::PasswordRequired => "password_required",
            Self::TestNotification => "test_notification",
        }
    }
}

/// A notice in the inbox of a user, or of an organisation, whose administrators all see it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NoticeRecord {
    pub uuid: String,
    /// The user's own namespace, or the organisation.
    pub target: NamespaceId,
    pub kind: NoticeKind,
    pub at: Timestamp,
    /// A JSON object, as text.
    metadata: String,
    pub dismissed: bool,
    /// By what those who put it there find it again, when it is settled: `service_key/<kid>`.
    pub about: Option<String>,
}

impl NoticeRecord {
    /// A notice that tells `metadata`, a JSON object; `uuid` is new.
    pub fn new(
        uuid: String,
        target: NamespaceId,
        kind: NoticeKind,
        at: Timestamp,
        metadata: &Value,
    ) -> Self {
        Self {
            uuid,
            target,
            kind,
            at,
            metadata: metadata.to_string(),
            dismissed: false,
            about: None,
        }
    }

    /// The same, found again by what it is about.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// What the kind tells.
    pub fn metadata(&self) -> Map<String, Value> {
        serde_json::from_str(&self.metadata).unwrap_or_default()
    }
}

/// How urgent a message to everyone is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Info, Self::Warning, Self::Error];
        all.into_iter().find(|severity| severity.as_str() == name)
    }
}

/// How a message to everyone is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum MessageFormat {
    Plain,
    Markdown,
}

impl MessageFormat {
    /// Its media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
        }
    }

    /// The format of that media type, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::Markdown];
        all.into_iter().find(|format| format.as_str() == name)
    }
}

/// A message to everyone (Quay: global messages).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MessageRecord {
    pub uuid: String,
    pub content: String,
    pub severity: Severity,
    pub format: MessageFormat,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_and_formats_are_found_by_their_names() {
        for severity in [Severity::Info, Severity::Warning, Severity::Error] {
            assert_eq!(Severity::named(severity.as_str()), Some(severity));
        }
        for format in [MessageFormat::Plain, MessageFormat::Markdown] {
            assert_eq!(MessageFormat::named(format.as_str()), Some(format));
        }
        assert_eq!(Severity::named("fatal"), None);
        assert_eq!(MessageFormat::named("text/html"), None);
    }
}
