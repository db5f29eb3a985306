//! What runs came to with single tags.
//!
//! Called by the doors of `api`; written by the runs.

use super::{Error, Mirror};
use crate::model::{MirrorStatus, MirrorTagRecord, RepositoryId};
use crate::oci::Tag;
use crate::store::ReadTx;

/// How a mirror stands, with some of its tags.
#[derive(Clone, Debug)]
pub struct RunResults {
    pub status: MirrorStatus,
    /// Tags that were copied or failed, in the order of their names.
    pub tags: Vec<(Tag, MirrorTagRecord)>,
}

impl Mirror {
    /// What runs came to with up to `limit` tags behind `after`; `None` if the repository is no mirror.
    ///
    /// # Errors
    /// The store's.
    pub async fn results(
        &self,
        repository: RepositoryId,
        after: Option<Tag>,
        limit: usize,
    ) -> Result<Option<RunResults>, Error> {
        let read = move |tx: &ReadTx| {
            let Some(status) = tx.mirrors().status(repository)? else {
                return Ok(None);
            };
            let tags = tx.mirrors().tags(repository, after.as_ref(), limit)?;
            Ok::<_, Error>(Some(RunResults { status, tags }))
        };
        self.store().scan(read).await
    }
}
