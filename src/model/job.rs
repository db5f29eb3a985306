//! Work that is done by the clock and must not be forgotten.
//!
//! Queued in the transaction of what wants it done, done by `jobs`. Payloads are ids; each kind is safe to be
//! done twice.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RepositoryId, Timestamp};

/// Something to be done; of each there is at most one in the queue, and one being done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Job {
    /// Tags end by the policies of a namespace and of its repositories.
    Prune(NamespaceId),
    /// Tags of every local namespace end by the configuration's policy.
    PruneAll,
    /// Old lines of the usage log go.
    RotateLogs,
    /// A repository that is a mirror copies what its source has.
    Mirror(RepositoryId),
    /// What the source of a mirrored organisation has is looked at.
    MirrorDiscovery(NamespaceId),
}

/// Jobs that wait for each other, and for no others: what may take hours does not keep waiting what takes
/// moments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    /// What keeps the site in order.
    Upkeep,
    /// Runs of mirrors.
    Mirrors,
}

impl Lane {
    pub const ALL: [Self; 2] = [Self::Upkeep, Self::Mirrors];
}

impl Job {
    /// In which lane it waits.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Prune(_) | Self::PruneAll | Self::RotateLogs => Lane::Upkeep,
            Self::Mirror(_) | Self::MirrorDiscovery(_) => Lane::Mirrors,
        }
    }
}

/// How it stands with a job.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct JobRecord {
    /// Not before this is it begun; while it is being done, until when whoever does it is believed to live.
    pub due: Timestamp,
    /// Who does it: a number of the process.
    pub holder: Option<u64>,
    /// It was wanted while it was being done, so that it is done once more.
    pub again: bool,
    /// How often it has failed since it last succeeded.
    pub failures: u32,
    /// How far it has come, in its own words; empty at its beginning.
    pub cursor: String,
}

impl JobRecord {
    pub fn new(due: Timestamp) -> Self {
        Self {
            due,
            ..Self::default()
        }
    }
}
