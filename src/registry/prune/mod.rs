//! Pruning: tags of local repositories that end by policies of their namespace, their repository, and the
//! configuration.
//!
//! `policies` keeps them for the API, `choose` decides, `follow` walks through repositories, tells what would
//! go, and ends tags, `companions` finds what goes with them; `jobs` and the operator's command have that done. Tags end as when somebody deletes
//! them, so that they can be restored for as long as the time machine goes back.
//!
//! Nothing else than tags of local repositories in their normal state is ever taken: not what is immutable or
//! pinned, nor what a cache holds (GC-05).

mod choose;
mod companions;
mod follow;
mod policies;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{NamespaceId, PolicyScope, PrunePolicy, PruneRule, Timestamp, Uuid};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{self, ReadTx};

pub use follow::Pruning;

/// Policies of one scope.
const MOST: usize = 50;

/// Which policies are followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Follow {
    /// Those of namespaces and repositories.
    Own,
    /// The configuration's (`DEFAULT_NAMESPACE_AUTOPRUNE_POLICY`).
    Configured,
    /// Both.
    All,
    /// This one, which nobody has yet, and no other.
    Only(PrunePolicy),
}

/// Whether tags end, or are only told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Prune {
    End,
    Tell,
}

/// Where a policy comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Configuration,
    Namespace(Uuid),
    Repository(Uuid),
    Asked,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("policy of the configuration"),
            Self::Namespace(id) => write!(f, "policy {id} of the namespace"),
            Self::Repository(id) => write!(f, "policy {id} of the repository"),
            Self::Asked => f.write_str("this policy"),
        }
    }
}

/// Why a tag goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Why {
    pub rule: PruneRule,
    pub origin: Origin,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.origin)
    }
}

/// A tag that has ended, or would.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PrunedTag {
    /// Without its namespace.
    pub repository: RepositoryName,
    pub tag: Tag,
    pub digest: Digest,
    /// When it began to point there.
    pub since: Timestamp,
    pub why: Why,
    /// The tag whose image this one is a signature, or the like, of.
    pub companion_of: Option<Tag>,
}

impl PrunedTag {
    /// In words.
    pub fn reason(&self) -> String {
        match &self.companion_of {
            Some(tag) => format!("belongs to {tag}, which is {}", self.why),
            None => self.why.to_string(),
        }
    }
}

/// What came of a step of a walk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PruneStep {
    /// Tags looked at.
    pub examined: u64,
    /// Those that ended, or would.
    pub tags: Vec<PrunedTag>,
}

/// Where a walk goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PruneWalk {
    pub namespace: NamespaceId,
    /// Repositories behind this name; empty for all.
    pub after: String,
    /// Only this one.
    pub only: Option<RepositoryName>,
}

impl PruneWalk {
    /// All of a namespace.
    pub const fn of(namespace: NamespaceId) -> Self {
        Self {
            namespace,
            after: String::new(),
            only: None,
        }
    }
}

/// The policies of a scope, in the order of their ids.
fn of_scope(tx: &ReadTx, scope: PolicyScope) -> Result<Vec<(Uuid, PrunePolicy)>, store::Error> {
    tx.prune_policies().list(scope, MOST)
}
