//! Namespaces and repositories as stored.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, NamespaceName, Timestamp, UserId};
use crate::oci::RepositoryName;

/// What a namespace is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum NamespaceKind {
    /// An organisation that is, or was, a cache of an upstream; nobody pushes into it.
    Cache,
    Organization,
    /// What belongs to one person.
    User(UserId),
}

/// A namespace that owns repositories.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NamespaceRecord {
    pub name: NamespaceName,
    pub created: Timestamp,
    pub kind: NamespaceKind,
    /// Of a cache: whether anyone who reaches the port may pull what it holds, also when it is no
    /// cache any more.
    pub anonymous_pull: bool,
    /// Seconds for which what a tag pointed to can be restored (Quay: `removed_tag_expiration_s`);
    /// `None` for `DEFAULT_TAG_EXPIRATION`.
    pub tag_expiration_s: Option<u64>,
    /// Where an organisation can be written to; a user's address is in its account.
    pub email: Option<String>,
    /// A random text that stands for the address where an organisation has none (Quay); empty for a cache
    /// of the configuration.
    pub uuid: String,
    /// Stored and shown only: there are no invoices.
    pub invoice_email: bool,
    pub invoice_email_address: Option<String>,
    /// Since when it is gone for everyone, while its rows are being removed.
    pub deleted: Option<Timestamp>,
}

impl NamespaceRecord {
    /// A namespace as it begins.
    pub const fn new(name: NamespaceName, kind: NamespaceKind, created: Timestamp) -> Self {
        Self {
            name,
            created,
            kind,
            anonymous_pull: false,
            tag_expiration_s: None,
            email: None,
            uuid: String::new(),
            invoice_email: false,
            invoice_email_address: None,
            deleted: None,
        }
    }

    /// From what an organisation's picture is made: its address, or what stands for it.
    pub fn avatar_seed(&self) -> &str {
        match (&self.email, self.uuid.as_str()) {
            (Some(email), _) => email,
            (None, "") => self.name.as_str(),
            (None, uuid) => uuid,
        }
    }

    /// Whether its content comes from pushes, rather than from an upstream.
    pub const fn is_local(&self) -> bool {
        !matches!(self.kind, NamespaceKind::Cache)
    }
}

/// Who may pull from a repository without a grant.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Visibility {
    /// Nobody.
    #[default]
    Private,
    /// Everyone.
    Public,
}

impl Visibility {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// What may be done to a repository, whoever asks (Quay: repository states).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum RepositoryState {
    #[default]
    Normal,
    /// Pulls only.
    ReadOnly,
    /// Pulls; pushed into by its mirror only.
    Mirror,
    /// There for nobody; its rows are being removed.
    MarkedForDeletion,
    /// As [`RepositoryState::Mirror`], of an organisation that is a mirror as a whole.
    OrgMirror,
}

impl RepositoryState {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::ReadOnly => "READ_ONLY",
            Self::Mirror => "MIRROR",
            Self::MarkedForDeletion => "MARKED_FOR_DELETION",
            Self::OrgMirror => "ORG_MIRROR",
        }
    }

    /// Its number, which Quay tells in some messages.
    pub const fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::ReadOnly => 1,
            Self::Mirror => 2,
            Self::MarkedForDeletion => 3,
            Self::OrgMirror => 4,
        }
    }
}

/// A repository of a namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RepositoryRecord {
    pub namespace: NamespaceId,
    /// The name below the namespace: `library/alpine` of `docker.io/library/alpine`.
    pub name: RepositoryName,
    pub created: Timestamp,
    /// Of a cache's repository it says nothing: the cache decides.
    pub visibility: Visibility,
    pub state: RepositoryState,
    /// Its content came from an upstream, also if its organisation is no cache any more: nobody pushes
    /// into it, and members of its organisation may pull.
    pub fetched: bool,
    /// For people; `None` if nobody said anything, which the API tells apart from an empty one.
    pub description: Option<String>,
    /// Stored and shown only: nothing is signed here (Quay: `trust_enabled`).
    pub trusted: bool,
}

impl RepositoryRecord {
    /// A repository as it begins: private, open to pushes of those who may.
    pub const fn new(namespace: NamespaceId, name: RepositoryName, created: Timestamp) -> Self {
        Self {
            namespace,
            name,
            created,
            visibility: Visibility::Private,
            state: RepositoryState::Normal,
            fetched: false,
            description: None,
            trusted: false,
        }
    }

    /// A repository as a cache begins it.
    pub fn fetched(namespace: NamespaceId, name: RepositoryName, created: Timestamp) -> Self {
        Self {
            fetched: true,
            ..Self::new(namespace, name, created)
        }
    }
}
