//! Nouns the product stores and decides about, without I/O.
//!
//! Records (`...Record`) are what the store keeps; everything else is a value that services pass.

mod blob;
mod id;
mod manifest;
mod namespace;
mod recency;
mod repository;
mod secret;
mod size;
mod tag;
mod time;
mod upstream;

pub use blob::BlobRecord;
pub use id::{NamespaceId, RepositoryId};
pub use manifest::ManifestRecord;
pub use namespace::NamespaceName;
pub use recency::{RecencyRecord, Unit};
pub use repository::{NamespaceRecord, RepositoryRecord};
pub use secret::Secret;
pub use size::ByteSize;
pub use tag::{TagEvent, TagRecord};
pub use time::{Clock, Timestamp};
pub use upstream::{
    Credentials, PasswordSource, PlatformPolicy, ProxyChoice, UpstreamName, UpstreamRule,
};
