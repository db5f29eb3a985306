//! The sweep for what a crash can leave: files without rows, and fills that nobody resumed.
//!
//! It never blocks start and never touches what has a row; a file is removed under the lock that its
//! publication holds until its row is committed.

use super::{Error, Registry};
use crate::blob::{self, Shard};
use crate::oci::Digest;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SweepReport {
    pub examined: u64,
    pub removed_files: u64,
    pub removed_partials: u64,
}

/// Uploads that were given up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExpiredUploads {
    pub uploads: u64,
    pub bytes: u64,
}

impl Registry {
    /// Removes uploads that nobody has gone on with for as long as the rules let them rest.
    ///
    /// # Errors
    /// The disk's; what was removed stays removed.
    pub async fn expire_uploads(&self) -> Result<ExpiredUploads, Error> {
        let now = self.inner.clock.now();
        let rest = self.inner.rules.load().upload_expiry;
        let mut expired = ExpiredUploads::default();
        for left in self.inner.blobs.uploads().await? {
            if left.written + rest > now {
                continue;
            }
            match self.inner.blobs.discard_upload(&left.key).await {
                Ok(bytes) => {
                    drop(self.inner.uploads.resume(&left.key));
                    expired.uploads += 1;
                    expired.bytes += bytes;
                }
                // Somebody goes on with it after all.
                Err(blob::Error::UploadBusy { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(expired)
    }

    /// Removes files that no row names, and partial fills that `is_running` does not know.
    ///
    /// # Errors
    /// The store's or the disk's; what was removed stays removed.
    pub async fn sweep(
        &self,
        is_running: impl Fn(&Digest) -> bool + Send,
    ) -> Result<SweepReport, Error> {
        let mut report = SweepReport::default();
        for shard in Shard::all() {
            for held in self.inner.blobs.list(shard).await? {
                report.examined += 1;
                report.removed_files += u64::from(self.remove_if_unnamed(held.digest).await?);
            }
        }
        for (digest, _) in self.inner.blobs.partials().await? {
            if !is_running(&digest) {
                self.inner.blobs.discard_partial(&digest).await?;
                report.removed_partials += 1;
            }
        }
        self.inner.metrics.swept_files.inc_by(report.removed_files);
        Ok(report)
    }

    async fn remove_if_unnamed(&self, digest: Digest) -> Result<bool, Error> {
        let _guard = self.content_lock(&digest).await;
        let named = self
            .inner
            .store
            .read(|tx| tx.blobs().record(&digest))
            .await?
            .is_some();
        let goes = !named && !self.inner.holds.any();
        if goes {
            self.inner.blobs.remove(&digest, || {}).await?;
        }
        Ok(goes)
    }
}
