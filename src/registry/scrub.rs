//! The scrub: reads every blob and every manifest again, at a pace, to find what the disk has changed.
//!
//! Called by `jobs` and by the operator's command. A damaged blob is put into quarantine: from then on it
//! counts as absent wherever it is linked, so a cache fetches it again at its next pull, and a push of
//! it is taken; of what was pushed here only a push or a backup brings it back, which the log says
//! loudly. Goes on where an earlier scrub was cut off (DK-07, DK-08). Hot entries need no look: they
//! hold a blob's size, and are forgotten when its file is not there.

use std::time::Duration;

use super::{Error, Registry};
use crate::blob::Verified;
use crate::model::{BlobRecord, NamespaceId, RepositoryId, Unit};
use crate::oci::Digest;
use crate::store;

/// Blobs read between two notes of how far it has come.
const PAGE: usize = 64;

/// Rows read in one go.
const ROWS: usize = 1000;

/// The setting that holds the last blob that an unfinished scrub has read.
const CURSOR: &str = "registry.scrubbed";

/// How fast a scrub reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// `None`: as fast as the disk gives.
    pub bytes_per_second: Option<u64>,
}

impl Default for Pace {
    /// 16 MiB/s: 8 GB in less than ten minutes, and a tenth of what a slow disk reads.
    fn default() -> Self {
        Self {
            bytes_per_second: Some(16 << 20),
        }
    }
}

impl Pace {
    fn pause(self, bytes: u64) -> Duration {
        let rate = self.bytes_per_second.map(|rate| rate.max(1));
        rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(bytes as f64 / rate as f64)
        })
    }
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ScrubReport {
    pub blobs: u64,
    pub manifests: u64,
    pub read_bytes: u64,
    /// Blobs and manifests whose bytes are not those of their digest.
    pub damaged: u64,
    /// Blobs with a row and without a file.
    pub absent: u64,
    /// Of both, those that a local repository has: nobody can fetch them again.
    pub lost: u64,
}

/// Content that a scrub did not find as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    pub digest: Digest,
    /// Whose manifest it is; `None` for a blob, which many repositories can have.
    pub manifest_of: Option<RepositoryId>,
    /// There is nothing at all, rather than other bytes.
    pub absent: bool,
    /// A local repository has it: nobody can fetch it again.
    pub lost: bool,
}

/// A scrub under way: how fast, what came of it, and who is told of damage.
struct Scrub<F> {
    pace: Pace,
    report: ScrubReport,
    found: F,
}

impl<F: FnMut(&Damage)> Scrub<F> {
    fn tell(&mut self, damage: &Damage) {
        match damage.absent {
            true => self.report.absent += 1,
            false => self.report.damaged += 1,
        }
        self.report.lost += u64::from(damage.lost);
        tell_damaged(&damage.digest, damage.lost);
        (self.found)(damage);
    }
}

impl Registry {
    /// Reads everything back and compares it with its digest; tells `found` of what is damaged.
    ///
    /// # Errors
    /// The store's or the disk's; the next scrub goes on from there.
    ///
    /// # Cancel safety
    /// Dropped, the next scrub goes on some blobs before.
    pub async fn scrub(
        &self,
        pace: Pace,
        found: impl FnMut(&Damage) + Send,
    ) -> Result<ScrubReport, Error> {
        let mut scrub = Scrub {
            pace,
            report: ScrubReport::default(),
            found,
        };
        let cursor = self.inner.store.read(|tx| tx.settings().text(CURSOR));
        let mut after: Option<Digest> = cursor.await?.and_then(|text| text.parse().ok());
        loop {
            let page = self
                .inner
                .store
                .scan(move |tx| tx.blobs().list(after.as_ref(), PAGE))
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (digest, record) in page {
                self.scrub_blob(&digest, &record, &mut scrub).await?;
            }
            self.note_scrubbed(after).await?;
        }
        self.note_scrubbed(None).await?;
        self.scrub_manifests(&mut scrub).await?;
        Ok(scrub.report)
    }

    /// Some of those that have a blob, by the names that clients know: local repositories, and
    /// caches as a whole.
    ///
    /// # Errors
    /// The store's.
    pub async fn who_has_blob(&self, digest: &Digest, limit: usize) -> Result<Vec<String>, Error> {
        let digest = *digest;
        let read = move |tx: &store::ReadTx| {
            let mut names = Vec::new();
            for id in tx.blobs().holders(&digest, limit)? {
                let Some(record) = tx.repositories().record(id)? else {
                    continue;
                };
                let namespace = tx.namespaces().record(record.namespace)?;
                names.extend(namespace.map(|it| format!("{}/{}", it.name, record.name)));
            }
            for id in tx.blobs().namespaces(&digest, limit)? {
                let record = tx.namespaces().record(id)?;
                let is_cache = tx.proxy_caches().record(id)?.is_some();
                let cache = record.filter(|it| is_cache || !it.is_local());
                names.extend(cache.map(|it| it.name.to_string()));
            }
            names.truncate(limit);
            Ok::<_, store::Error>(names)
        };
        Ok(self.inner.store.scan(read).await?)
    }

    async fn scrub_blob<F: FnMut(&Damage) + Send>(
        &self,
        digest: &Digest,
        record: &BlobRecord,
        scrub: &mut Scrub<F>,
    ) -> Result<(), Error> {
        let (size, pace) = (record.size_bytes, scrub.pace);
        let wait = |bytes| tokio::time::sleep(pace.pause(bytes));
        scrub.report.blobs += 1;
        scrub.report.read_bytes += size;
        if self.inner.blobs.verify(digest, size, wait).await? == Verified::Good {
            return Ok(());
        }
        // Looked at again under the lock: it may have been collected, or pushed anew, in between.
        let _guard = self.content_lock(digest).await;
        let row = self
            .inner
            .store
            .read(|tx| tx.blobs().record(digest))
            .await?;
        if row.is_none() {
            return Ok(());
        }
        let at_once = |_| std::future::ready(());
        let verified = self.inner.blobs.verify(digest, size, at_once).await?;
        match verified {
            Verified::Good => return Ok(()),
            Verified::Absent => {}
            Verified::Damaged => self.inner.blobs.quarantine(digest).await?,
        }
        self.inner.metrics.damaged.inc();
        scrub.tell(&Damage {
            digest: *digest,
            manifest_of: None,
            absent: verified == Verified::Absent,
            lost: self.is_pushed(digest).await?,
        });
        Ok(())
    }

    /// Whether a local repository has the blob: nobody can fetch it again.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_pushed(&self, digest: &Digest) -> Result<bool, Error> {
        let pushed = self.inner.store.read(|tx| {
            let holders = tx.blobs().holders(digest, 1)?;
            Ok::<_, store::Error>(!holders.is_empty())
        });
        Ok(pushed.await?)
    }

    async fn note_scrubbed(&self, last: Option<Digest>) -> Result<(), Error> {
        let note = move |tx: &mut store::WriteTx<'_>| match last {
            Some(last) => tx.settings().put_text(CURSOR, &last.to_string()),
            None => tx.settings().remove(CURSOR),
        };
        Ok(self.inner.store.write(note).await?)
    }

    async fn scrub_manifests<F: FnMut(&Damage) + Send>(
        &self,
        scrub: &mut Scrub<F>,
    ) -> Result<(), Error> {
        let mut namespace_after = None;
        loop {
            let after = namespace_after;
            let namespaces = self
                .inner
                .store
                .scan(move |tx| tx.namespaces().list_after(after, ROWS))
                .await?;
            let Some((last, _)) = namespaces.last() else {
                return Ok(());
            };
            namespace_after = Some(*last);
            for (namespace, _) in namespaces {
                let mut after = None;
                loop {
                    let page = self.repositories(namespace, after).await?;
                    let Some((last, _)) = page.last() else { break };
                    after = Some(last.clone());
                    for (_, repository) in page {
                        self.scrub_repository(namespace, repository, scrub).await?;
                    }
                }
            }
        }
    }

    async fn scrub_repository<F: FnMut(&Damage) + Send>(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
        scrub: &mut Scrub<F>,
    ) -> Result<(), Error> {
        let record = self.repository_record(repository).await?;
        let is_local = record.is_some_and(|record| !record.fetched);
        let mut after = None;
        loop {
            let page = self
                .inner
                .store
                .scan(move |tx| tx.manifests().list(repository, after.as_ref(), PAGE))
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (digest, record) in page {
                scrub.report.manifests += 1;
                scrub.report.read_bytes += record.size_bytes;
                let body = self
                    .inner
                    .store
                    .scan(move |tx| tx.manifests().body(&digest));
                let good = match body.await {
                    Ok(body) => body.is_some(),
                    // The store hashes a document when it reads it.
                    Err(store::Error::Corrupt { .. }) => false,
                    Err(error) => return Err(error.into()),
                };
                if !good {
                    scrub.tell(&Damage {
                        digest,
                        manifest_of: Some(repository),
                        absent: false,
                        lost: is_local,
                    });
                    let unit = Unit {
                        namespace,
                        repository,
                        digest,
                    };
                    match is_local {
                        true => self.inner.metrics.damaged.inc(),
                        false => self.discard_damaged(unit).await?,
                    }
                }
                tokio::time::sleep(scrub.pace.pause(record.size_bytes)).await;
            }
        }
    }
}

fn tell_damaged(digest: &Digest, lost: bool) {
    match lost {
        true => tracing::error!(
            blob.digest = %digest,
            "content that was pushed here is damaged or gone: push it again, or restore it"
        ),
        false => tracing::warn!(
            blob.digest = %digest,
            "cached content is damaged or gone and will be fetched again"
        ),
    }
}
