//! What can go wrong with content.

use crate::oci::{Digest, InvalidManifest, Tag};
use crate::quota::Shortage;
use crate::{blob, store};

/// Why content could not be read, kept or removed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("manifest {digest} is not valid: {reason}")]
    ManifestInvalid {
        digest: Digest,
        reason: InvalidManifest,
    },
    /// A row without its bytes, or bytes that are not what the row says.
    #[error("the bytes of {digest} are damaged or gone")]
    Corrupt { digest: Digest },
    #[error("there is no such repository")]
    NameUnknown,
    /// A repository is to be made whose name is taken.
    #[error("there is such a repository already")]
    Exists,
    #[error("there is no such manifest")]
    ManifestUnknown,
    #[error("there is no such blob")]
    BlobUnknown,
    #[error("the manifest names {digest}, which the repository does not have")]
    ManifestBlobUnknown { digest: Digest },
    /// PR-09.
    #[error("the manifest states {stated} bytes for {digest}, which has {found}")]
    SizeInvalid {
        digest: Digest,
        stated: u64,
        found: u64,
    },
    #[error("the tag {tag} is immutable")]
    TagImmutable { tag: Tag },
    #[error("the time when the tag is to end has passed")]
    ExpiryPast,
    #[error(transparent)]
    Label(#[from] LabelFault),
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    #[error(transparent)]
    Prune(#[from] PruneFault),
    /// A conditional push whose condition does not hold.
    #[error("the tag {tag} is there already, or points elsewhere than the request expects")]
    Precondition { tag: Tag },
    #[error("{digest} is part of the manifest {manifest}; delete that first")]
    BlobInUse {
        digest: Digest,
        /// Boxed: errors stay small on the good path.
        manifest: Box<Digest>,
    },
    /// No such session of this person in this repository, or it has ended.
    #[error("there is no such upload")]
    UploadUnknown,
    /// The namespace is, or was, a cache: nobody pushes into it.
    #[error("the namespace is not pushed into")]
    ReadOnly,
    /// What it was a part of was ended meanwhile, or taken over by somebody else.
    #[error("what it was a part of has ended")]
    Superseded,
    /// The organisation is a mirror as a whole: what it holds comes from its source.
    #[error("the organization is managed by organization-level mirroring")]
    OrganizationMirror,
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// A push into a namespace that may hold no more (Quay's text, GC-07).
    #[error("Quota has been exceeded on namespace")]
    QuotaExceeded,
    #[error(transparent)]
    Quota(#[from] QuotaFault),
    #[error("no room: {0}")]
    NoRoom(#[from] Shortage),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Blob(#[from] blob::Error),
}

impl Error {
    /// Whether content cannot be kept, for want of room in an account or on the disk, or because the volume
    /// takes no writes: it can still be passed on.
    pub const fn is_unkept(&self) -> bool {
        match self {
            Self::NoRoom(_) | Self::QuotaExceeded | Self::Store(store::Error::ReadOnly) => true,
            Self::Blob(error) => error.is_unkept(),
            _ => false,
        }
    }
}

/// What is wrong with a label, or with what is to be done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LabelFault {
    #[error("there is no such label")]
    Unknown,
    #[error("Label has a reserved prefix")]
    Reserved,
    #[error(
        "a label's key is up to 255 lower-case letters and digits, with single '-' or '.' between them"
    )]
    Key,
    #[error("a label's value has up to 4096 bytes")]
    Value,
    #[error("Cannot delete immutable label")]
    Fixed,
    #[error("a manifest has up to 1000 labels")]
    TooMany,
}

/// What is wrong with a quota, or with what is to be done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuotaFault {
    #[error("there is no such quota, or no such limit of it")]
    Unknown,
    #[error("the namespace has a quota already")]
    Exists,
    #[error("a quota is 1 to {} bytes", i64::MAX)]
    Bytes,
    #[error("Quota limit threshold must be between 1 and 100")]
    Percent,
    #[error("Quota limit already exists")]
    LimitExists,
    #[error("Only one quota limit of type 'Reject' allowed.")]
    OneReject,
    #[error("a quota has up to 100 limits")]
    TooMany,
    /// A cache of the configuration.
    #[error("the quota of this organization stands in the configuration file, under PROXY_CACHES")]
    Configured,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyFault {
    #[error("there is no such policy")]
    Unknown,
    #[error("Invalid regex pattern: {0}")]
    Pattern(String),
    #[error("A policy with the same tag_pattern already exists")]
    Duplicate,
    #[error("there are up to 50 policies")]
    TooMany,
}

/// What is wrong with a policy by which tags are to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PruneFault {
    #[error("there is no such policy")]
    Unknown,
    /// Quay's words, as those of the next.
    #[error(
        "Existing policy with same values for this namespace, duplicate policies are not permitted"
    )]
    OfNamespace,
    #[error(
        "Existing policy with same values for this repository, duplicate policies are not permitted"
    )]
    OfRepository,
    #[error("there are up to 50 policies")]
    TooMany,
    #[error("tags of a cache follow its upstream; what is not used goes by itself")]
    Cache,
}
