//! Which mirrors are due, looked at once in a while: they are put on the queue, and `jobs` takes them off.

use super::seat::seated;
use super::state::Due;
use super::{Error, Mirror};
use crate::model::{Job, MirrorStatus, NamespaceId, RepositoryId, SyncState, Timestamp};
use crate::oci::RepositoryName;
use crate::store::{ReadTx, WriteTx};

/// Rows read in one go.
const PAGE: usize = 500;

impl Mirror {
    /// Puts every mirror on the queue that is due and not there; returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn queue_due(&self) -> Result<usize, Error> {
        if self.check_on().is_err() {
            return Ok(0);
        }
        let mut queued = 0;
        let mut after = None;
        loop {
            let read = move |tx: &ReadTx| tx.mirrors().list(after, PAGE);
            let page: Vec<(RepositoryId, MirrorStatus)> =
                self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            let now = self.now();
            let candidates = page
                .into_iter()
                .filter(|(_, status)| may_be_due(status, now));
            let candidates = candidates.map(|(repository, _)| repository).collect();
            queued += self.queue(candidates).await?;
        }
        if self.inner.organizations {
            queued += self.queue_organizations().await?;
        }
        Ok(queued)
    }

    /// The same of the repositories of mirrored organisations, and of the looks at their sources.
    async fn queue_organizations(&self) -> Result<usize, Error> {
        let (mut queued, mut after) = (0, None);
        loop {
            let read = move |tx: &ReadTx| tx.mirrors().organizations(after, PAGE);
            let page: Vec<(NamespaceId, MirrorStatus)> = self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                return Ok(queued);
            };
            after = Some(*last);
            for (namespace, status) in page {
                if may_be_due(&status, self.now()) {
                    queued += self.queue_discovery(namespace).await?;
                }
                queued += self.queue_discovered(namespace).await?;
            }
        }
    }

    async fn queue_discovered(&self, namespace: NamespaceId) -> Result<usize, Error> {
        let (mut queued, mut after) = (0, None::<RepositoryName>);
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| {
                tx.mirrors()
                    .all_discovered(namespace, behind.as_ref(), PAGE)
            };
            let page: Vec<_> = self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                return Ok(queued);
            };
            after = Some(last.clone());
            let now = self.now();
            let candidates = page
                .into_iter()
                .filter(|(_, found)| may_be_due(&found.status, now));
            let candidates = candidates
                .filter_map(|(_, found)| found.repository)
                .collect();
            queued += self.queue(candidates).await?;
        }
    }

    async fn queue(&self, mut candidates: Vec<RepositoryId>) -> Result<usize, Error> {
        candidates.retain(|repository| !self.is_running(*repository));
        if candidates.is_empty() {
            return Ok(0);
        }
        let now = self.now();
        let due = move |tx: &ReadTx| {
            let mut due = Vec::new();
            for repository in candidates {
                let is_queued = tx.jobs().record(Job::Mirror(repository))?.is_some();
                let is_due = seated(tx, repository)?.is_some_and(|it| it.due(now) != Due::Nothing);
                if is_due && !is_queued {
                    due.push(Job::Mirror(repository));
                }
            }
            Ok::<_, Error>(due)
        };
        let due = self.registry().store().scan(due).await?;
        self.enqueue(due).await
    }

    pub(super) async fn enqueue(&self, jobs: Vec<Job>) -> Result<usize, Error> {
        let (queued, now) = (jobs.len(), self.now());
        if queued == 0 {
            return Ok(0);
        }
        let enqueue = move |tx: &mut WriteTx<'_>| {
            for job in &jobs {
                tx.jobs().enqueue(*job, now)?;
            }
            Ok::<_, Error>(())
        };
        self.registry().store().write(enqueue).await?;
        Ok(queued)
    }
}

/// Whether a status may be due, whatever was decided of the mirror.
fn may_be_due(status: &MirrorStatus, now: Timestamp) -> bool {
    match status.state {
        SyncState::Syncing | SyncState::SyncNow => true,
        SyncState::Cancel | SyncState::Skip => false,
        SyncState::NeverRun | SyncState::Success | SyncState::Fail => {
            status.next.is_some_and(|next| next <= now)
                && status.not_before.is_none_or(|until| until <= now)
        }
    }
}
