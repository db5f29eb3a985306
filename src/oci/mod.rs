//! Words of the OCI specifications: names, digests, manifests, ranges and the `/v2/` path grammar.
//!
//! Everything here is pure: no I/O, no clock, no configuration. A value of one of these types has
//! passed the grammar of the specification, so the rooms above never validate it again.
//!
//! Followed: distribution-spec 1.1.1 and image-spec 1.1.1, with Docker image manifest version 2,
//! schema 2 as their elder twin.

mod artifact;
mod descriptor;
mod digest;
mod endpoint;
pub mod error_code;
pub mod limits;
mod manifest;
mod media_type;
mod name;
mod push;
mod range;
mod reference;
mod scope;

pub use artifact::{ArtifactTypes, DisallowedType};
pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, Hasher};
pub use endpoint::{Endpoint, EndpointError};
pub use error_code::ErrorCode;
pub use manifest::{InvalidManifest, Manifest, ManifestKind, RawManifest};
pub use media_type::MediaType;
pub use name::RepositoryName;
pub use range::{ByteRange, RangeRequest, Satisfied, UploadRange, upload_progress};
pub use reference::{Reference, Tag};
pub use scope::{Action, Actions, Resource, Scope, Scopes, without_host};

/// Why a text is not what it was meant to be: which kind of word, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {reason}")]
pub struct ParseError {
    what: &'static str,
    reason: String,
}

impl ParseError {
    /// An error about a `what` ("digest", "tag" ...), with a reason that shows no control characters.
    pub fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self {
            what,
            reason: reason.into(),
        }
    }
}

/// Implements the traits every textual word shares: display, debug, serde through `FromStr`.
macro_rules! textual {
    ($name:ty) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use textual;
