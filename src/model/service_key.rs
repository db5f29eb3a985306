//! Keys of services that belong to this registry, as stored (Quay: service keys).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserId};

/// The public half of a key by which a service shows that it is one, under its key id.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceKeyRecord {
    pub service: String,
    /// For people.
    pub name: String,
    /// RFC 7517, a JSON object as text, its `kid` included.
    pub jwk: String,
    /// What whoever made it tells of it, a JSON object as text.
    pub metadata: String,
    pub created: Timestamp,
    /// From then on nobody believes it.
    pub expires: Option<Timestamp>,
    /// Seconds after which its service means to replace it.
    pub rotation_duration_s: Option<u64>,
    /// `None` while it waits to be approved.
    pub approval: Option<ServiceKeyApproval>,
    /// Where it was submitted from; `None` for one that a superuser made.
    pub submitted_from: Option<IpAddr>,
}

/// That somebody answers for a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceKeyApproval {
    pub kind: ApprovalKind,
    /// The superuser, where one did it.
    pub approver: Option<UserId>,
    pub at: Timestamp,
    pub notes: String,
}

/// How a key came to be approved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ApprovalKind {
    /// A superuser looked at it, or made it.
    Superuser,
    /// An approved key of the service signed for it.
    KeyRotation,
    /// The server by itself.
    Automatic,
}

impl ServiceKeyRecord {
    /// Whether it can be believed at that time, if it is approved.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}
