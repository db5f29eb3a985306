//! The drawing of the store: every table, its key and its value, on one page.
//!
//! `keys` encodes what stands left of the arrow, `codec` what stands right of it; to redb both are
//! bytes, so that no type name of ours is written into the file. Names end in the number of their
//! format: a table whose rows change their form gets the next number, and `migrate` carries it over.

use redb::TableDefinition;

use super::Error;

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident = $name:literal,)*) => {
        /// A table, by what it answers.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Table {
            $($(#[$doc])* $table,)*
        }

        impl Table {
            /// Every table, in the order of the drawing.
            pub(super) const ALL: &'static [Self] = &[$(Self::$table),*];

            /// Its name in the file.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
                }
            }
        }
    };
}

tables! {
    /// name → number, eight bytes without a version: the schema, and the last id given of each kind.
    Meta = "meta.v1",
    /// name → number or text
    Settings = "settings.v1",

    /// namespace → `NamespaceRecord`
    Namespaces = "namespaces.v1",
    /// name → namespace
    NamespaceNames = "namespace_names.v1",
    /// name → namespace: names of deleted namespaces, which nobody gets while rows of theirs are left
    ReservedNames = "reserved_names.v1",
    /// namespace or user → (): whose rows are to be removed
    Purges = "purges.v1",
    /// repository → `RepositoryRecord`
    Repositories = "repositories.v1",
    /// (namespace, name) → repository
    RepositoryNames = "repository_names.v1",
    /// (namespace, repository) → (): what is there for nobody, and whose rows are being removed
    DoomedRepositories = "doomed_repositories.v1",
    /// (user, repository) → when it was starred
    Stars = "stars.v1",
    /// (repository, user) → (): who starred it
    Stargazers = "stargazers.v1",
    /// repository → number of its stars
    StarCounts = "star_counts.v1",
    /// (namespace or repository, uuid) → `ImmutabilityPolicy`
    ImmutabilityPolicies = "immutability_policies.v1",
    /// (namespace or repository, uuid) → `PrunePolicy`
    PrunePolicies = "prune_policies.v1",

    /// namespace → `ProxyCacheRecord`: what it caches by the API
    ProxyCaches = "proxy_caches.v1",

    /// repository → `MirrorRecord`
    Mirrors = "mirrors.v1",
    /// repository → `MirrorStatus`: how it stands with the runs
    MirrorStatuses = "mirror_statuses.v1",
    /// (repository, tag) → `MirrorTagRecord`: tags that a run copied or failed to
    MirrorTags = "mirror_tags.v1",
    /// namespace → `OrgMirrorRecord`
    OrgMirrors = "org_mirrors.v1",
    /// namespace → `MirrorStatus`: how it stands with the looks at what there is
    OrgMirrorStatuses = "org_mirror_statuses.v1",
    /// (namespace, name at the source) → `DiscoveredRecord`
    Discovered = "org_mirror_repositories.v1",

    /// user → `UserRecord`; found by name through its namespace
    Users = "users.v1",
    /// e-mail address in lower case → user
    UserEmails = "user_emails.v1",
    /// robot → `RobotRecord` without the name of its namespace
    Robots = "robots.v1",
    /// robot → text that its owner keeps with it, a JSON object
    RobotMetadata = "robot_metadata.v1",
    /// (namespace, short name) → robot
    RobotNames = "robot_names.v1",
    /// team → `TeamRecord`
    Teams = "teams.v1",
    /// (namespace, name) → team
    TeamNames = "team_names.v1",
    /// (namespace, team) → `TeamRole`: the oldest first
    NamespaceTeams = "namespace_teams.v1",
    /// (team, member) → (): who is in a team
    TeamMembers = "team_members.v1",
    /// (member, namespace, team) → (): which teams somebody is in
    MemberTeams = "member_teams.v1",
    /// (namespace, member) → in how many of its teams somebody is
    NamespaceMembers = "namespace_members.v1",
    /// code → `InvitationRecord`
    Invitations = "invitations.v1",
    /// (team, invited) → code
    TeamInvitations = "team_invitations.v1",
    /// (invited, namespace, team) → code
    InviteeInvitations = "invitee_invitations.v1",
    /// (repository, grantee) → `Role`
    Grants = "grants.v1",
    /// (grantee, namespace, repository) → (): what is granted to somebody
    GranteeRepositories = "grantee_repositories.v1",
    /// (namespace, grantee) → on how many of its repositories something is granted to somebody
    NamespaceGrantees = "namespace_grantees.v1",
    /// (namespace, prototype) → `PrototypeRecord`: default permissions, the oldest first
    Prototypes = "prototypes.v1",
    /// app token → `AppTokenRecord`
    AppTokens = "app_tokens.v1",
    /// lookup → app token
    AppTokenLookups = "app_token_lookups.v1",
    /// uuid → app token
    AppTokenUuids = "app_token_uuids.v1",
    /// (user, app token) → (): which tokens a user has
    UserAppTokens = "user_app_tokens.v1",
    /// application → `OauthApplicationRecord`
    OauthApplications = "oauth_applications.v1",
    /// client id → application
    OauthClients = "oauth_clients.v1",
    /// (namespace, application) → (): which applications an organisation has
    NamespaceApplications = "namespace_applications.v1",
    /// OAuth token → `OauthTokenRecord`
    OauthTokens = "oauth_tokens.v1",
    /// lookup → OAuth token
    OauthTokenLookups = "oauth_token_lookups.v1",
    /// uuid → OAuth token
    OauthTokenUuids = "oauth_token_uuids.v1",
    /// (application, OAuth token, newest first) → ()
    ApplicationTokens = "application_tokens.v1",
    /// (user, OAuth token) → (): what a user has given to applications
    UserOauthTokens = "user_oauth_tokens.v1",
    /// uuid → `OauthAssignmentRecord`
    OauthAssignments = "oauth_assignments.v1",
    /// (user, uuid) → (): what a user is offered
    UserAssignments = "user_assignments.v1",
    /// (application, uuid) → ()
    ApplicationAssignments = "application_assignments.v1",
    /// key id → `SigningKeyRecord`
    SigningKeys = "signing_keys.v1",
    /// key id → `ServiceKeyRecord`
    ServiceKeys = "service_keys.v1",

    /// (repository, digest) → `ManifestRecord`
    Manifests = "manifests.v1",
    /// digest → the document, exactly its bytes, without a version
    ManifestBodies = "manifest_bodies.v1",
    /// (digest, repository) → (): who still needs this body
    ManifestHolders = "manifest_holders.v1",
    /// (repository, child, index) → (): which indexes name this manifest
    ManifestParents = "manifest_parents.v1",
    /// (repository, blob, manifest) → (): which manifests name this blob
    BlobNamers = "blob_namers.v1",

    /// (repository, tag) → `TagRecord`
    Tags = "tags.v1",
    /// (repository, digest, tag) → (): which tags point here
    TagTargets = "tag_targets.v1",
    /// (repository, all or live, place, newest first) → `TagPlace`: tags by when they began
    TagPlaces = "tag_places.v1",
    /// (repository, all or live, block of places, newest first) → number of places in it that are taken
    TagBlocks = "tag_blocks.v1",
    /// (repository, sequence, newest first) → `TagLifetime`
    TagLifetimes = "tag_lifetimes.v1",
    /// (repository, digest, sequence, newest first) → (): which ended lifetimes pointed here
    LifetimeTargets = "lifetime_targets.v1",
    /// (repository, tag, sequence, newest first) → (): the ended lifetimes of a tag
    LifetimeTags = "lifetime_tags.v1",

    /// digest → `BlobRecord`
    Blobs = "blobs.v1",
    /// (repository, digest) → `LinkRecord`: which blobs a repository has; of caches mostly empty
    BlobLinks = "blob_links.v1",
    /// (digest, repository) → (): which repositories a pushed blob can be mounted from
    BlobHolders = "blob_holders.v1",
    /// (digest, namespace) → number of its repositories that link the blob
    BlobNamespaces = "blob_namespaces.v1",

    /// (repository, digest, uuid) → `LabelRecord`
    Labels = "labels.v1",

    /// (repository, subject, referrer) → `Descriptor` as JSON
    Referrers = "referrers.v1",

    /// (namespace, repository, digest) → `RecencyRecord`
    Recency = "recency.v1",
    /// (namespace, last used, repository, digest) → (): least recently used first
    RecencyOrder = "recency_order.v1",

    /// namespace → bytes held
    Usage = "usage.v1",
    /// namespace → `QuotaRecord`: what it may hold, by the API
    Quotas = "quotas.v1",
    /// repository → bytes of the blobs it links, shared ones included, and of fetched manifests
    RepositoryUsage = "repository_usage.v1",

    /// (time, sequence, newest first) → `LogEntry`: the usage log
    Logs = "logs.v1",
    /// (namespace or repository, time, sequence, newest first) → (): what is filed there
    LogsByScope = "logs_by_scope.v1",
    /// (namespace or repository, performer, time, sequence, newest first) → (): what somebody did there
    LogsByPerformer = "logs_by_performer.v1",
    /// (day, namespace or repository or all, performer or all, kind or all) → number of acts
    LogCounts = "log_counts.v1",

    /// (namespace, sequence, newest first) → `NoticeRecord`: what a user or an organisation is told
    Notices = "notices.v1",
    /// (namespace, sequence, newest first) → (): notices that are not dismissed
    OpenNotices = "open_notices.v1",
    /// uuid → (namespace, sequence), as a key
    NoticeUuids = "notice_uuids.v1",
    /// (what it is about, namespace, sequence) → (): notices to be taken back when it is settled
    NoticesAbout = "notices_about.v1",
    /// sequence → `MessageRecord`: messages to everyone
    Messages = "messages.v1",

    /// job → `JobRecord`: what is to be done by the clock
    Jobs = "jobs.v1",
    /// (due, job) → (): the earliest first
    JobOrder = "job_order.v1",
    /// (due, job) → (): the same of the runs of mirrors
    MirrorJobOrder = "mirror_job_order.v1",

    /// (due, `Review`) → (): what the collector looks at, and when
    Reviews = "reviews.v1",
}

impl Table {
    pub(super) const COUNT: usize = Self::ALL.len();

    pub(super) const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }

    /// The error of a key in this table that `keys` cannot have written.
    pub(super) fn damaged_key(self) -> Error {
        Error::Corrupt {
            table: self.name(),
            reason: "its key has no known form".to_owned(),
        }
    }
}
