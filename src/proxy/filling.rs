//! The fills that run, for people who watch.

use serde::{Deserialize, Serialize};

use super::Proxy;
use super::fill::Stage;
use crate::blob::Progress;
use crate::oci::Digest;

/// A blob on its way in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Filling {
    pub digest: Digest,
    /// The repository that it was first asked for, with its organisation.
    pub repository: String,
    pub arrived_bytes: u64,
    /// `None` until upstream has said it.
    pub total_bytes: Option<u64>,
    /// How many read it as it comes.
    pub askers: usize,
}

impl Proxy {
    /// The fills that run, in the order of their repositories.
    pub fn fillings(&self) -> Vec<Filling> {
        let mut fillings = self.inner.fills.map(|digest, fill| {
            let (stage, repository, askers) = fill.seen();
            let (arrived_bytes, total_bytes) = match &stage {
                Stage::Growing(partial) => match partial.progress() {
                    Progress::Growing { len, total } => (len, total),
                    Progress::Complete(file) => (file.len(), Some(file.len())),
                    Progress::Failed(failure) => (failure.len, None),
                },
                Stage::Held(file) => (file.len(), Some(file.len())),
                Stage::Preparing | Stage::Uncached | Stage::Failed(_) => (0, None),
            };
            Filling {
                digest: *digest,
                repository,
                arrived_bytes,
                total_bytes,
                askers,
            }
        });
        fillings.sort_by(|a, b| (&a.repository, &a.digest).cmp(&(&b.repository, &b.digest)));
        fillings
    }
}
