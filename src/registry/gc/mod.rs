//! Collection: what local repositories no longer need goes, while pushes and pulls go on.
//!
//! Called by `jobs` at intervals and by the operator's command. Works through the agenda: whatever may
//! become garbage has a review (`model::Review`) that was written in the transaction of its cause, and
//! when it is due it is looked at again, in the transaction that removes it (GC-01). Rows go before
//! files; a file is unlinked under the lock that its publication holds until its row is committed
//! (GC-02, GC-03). Caches are left to eviction (GC-05).
//!
//! A transaction ends after [`STOP`], and what a removal leaves unnamed is put on the agenda rather
//! than removed with it, so the writer is never held for long. A run that is cut off goes on where it
//! was (GC-08).

mod dismantle;
mod purge;
mod report;
mod step;
mod touches;
mod verdict;

#[cfg(test)]
#[path = "../tests/gc.rs"]
pub(super) mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

pub use report::{Budget, GcReport};
pub(super) use touches::Touches;
pub(super) use verdict::{CONDEMNED, Moment, Verdict};

use super::remove::{Gone, Unnamed};
use super::session::Owner;
use super::{Error, Registry};
use crate::model::{Actor, RepositoryId, Review, Timestamp};
use crate::oci::Digest;
use crate::store::{self, ReadTx, WriteTx};
use step::{LARGE, Run, is_large};

/// Reviews read in one go; at most as many are carried out in one transaction.
const PAGE: usize = 512;

/// How long a transaction goes on with further reviews. `DESIGN.md`, budgets: 5 ms at p99.
const STOP: Duration = Duration::from_millis(2);

/// Files that are unlinked side by side.
const UNLINKS: usize = 8;

/// Changes that a rehearsal holds in memory, in bytes; some four times as much is used for them.
const REHEARSAL_BYTES: usize = 16 << 20;

/// When a review whose rows are damaged is looked at again.
const DAMAGED: Duration = Duration::from_secs(24 * 3600);

/// A review with when it was due.
type Due = (Timestamp, Review);

impl Registry {
    /// Notes that somebody who may push sends a blob, or asked for one of a repository, so that it is not collected
    /// before he can name it. To be awaited before the look whether it is there: what is found then
    /// stays for the grace period (GC-01).
    ///
    /// # Cancel safety
    /// Dropped, the touch may count or not.
    pub async fn touch_blob(&self, repository: RepositoryId, digest: Digest, by: &Actor) {
        let now = self.inner.clock.now();
        let by = Owner::of(by);
        let blob = (repository, digest);
        self.inner.touches.touch(blob, by, now).await;
    }

    /// Says that something may be garbage now, so that whoever collects need not wait for his next turn.
    pub(super) fn collect_soon(&self) {
        self.inner.collection_wanted.notify_one();
    }

    /// Resolves when something may have become garbage since the last time.
    pub async fn collection_wanted(&self) {
        self.inner.collection_wanted.notified().await;
    }

    /// Carries out the reviews that are due, and those that follow from them, until none is left or
    /// the budget is spent. One run at a time.
    ///
    /// # Errors
    /// The store's; what was done stays done, and the next run goes on.
    ///
    /// # Cancel safety
    /// Dropped, the transaction under way is carried out, and the files it freed are left to the next
    /// sweep.
    pub async fn collect(&self, budget: Budget) -> Result<GcReport, Error> {
        let _turn = self.inner.collecting.lock().await;
        let moment = self.moment();
        moment.touches.prune(moment.now, moment.rules.grace);
        let mut report = GcReport::default();
        while report.reviewed < budget.reviews {
            let page = self.page(&moment).await?;
            if page.small.is_empty() && page.large.is_empty() {
                report.complete = true;
                break;
            }
            let done = self.carry_out_due(&moment, page).await?;
            self.inner.metrics.count_collected(&done);
            report.add(&done);
        }
        Ok(report)
    }

    /// Tells what a run would do now, with all that follows, and changes nothing.
    ///
    /// Takes up to some 64 MiB of memory; where more would go, the report is not complete.
    ///
    /// # Errors
    /// The store's.
    pub async fn collectable(&self) -> Result<GcReport, Error> {
        let moment = self.moment();
        let rehearse = move |tx: &mut WriteTx<'_>| rehearse(tx, &moment);
        Ok(self.inner.store.rehearse(rehearse).await?)
    }

    /// Tells when the first thing is looked at that is kept for now, if there is any.
    ///
    /// # Errors
    /// The store's.
    pub async fn next_review(&self) -> Result<Option<Timestamp>, Error> {
        let now = self.inner.clock.now();
        let next = self.inner.store.read(move |tx| tx.reviews().next(now));
        Ok(next.await?)
    }

    /// What holds now.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now: self.inner.clock.now(),
            rules: self.inner.rules.load_full(),
            touches: self.inner.touches.clone(),
        }
    }

    /// The first reviews that are due; those of manifests that are too large for one transaction
    /// apart.
    async fn page(&self, moment: &Moment) -> Result<Page, Error> {
        let moment = moment.clone();
        Ok(self
            .inner
            .store
            .scan(move |tx| {
                let mut page = Page::default();
                for due in tx.reviews().due(moment.now, None, PAGE)? {
                    // A damaged row is met again, and dealt with, when the review is carried out.
                    let large = is_large_garbage(tx, &moment, &due.1).unwrap_or(false);
                    let part = if large {
                        &mut page.large
                    } else {
                        &mut page.small
                    };
                    part.push(due);
                }
                Ok::<_, store::Error>(page)
            })
            .await?)
    }

    async fn carry_out_due(&self, moment: &Moment, page: Page) -> Result<GcReport, Error> {
        let mut report = GcReport::default();
        for due in page.large {
            let done = match self.dismantle(moment, due.clone()).await {
                Err(error @ Error::Store(store::Error::Corrupt { .. })) => {
                    self.put_off(moment, &due, &error).await
                }
                outcome => outcome,
            };
            report.add(&done?);
        }
        report.add(&self.carry_out_page(moment, page.small).await?);
        Ok(report)
    }

    /// Carries out reviews in as many transactions as it takes.
    async fn carry_out_page(
        &self,
        moment: &Moment,
        mut reviews: Vec<Due>,
    ) -> Result<GcReport, Error> {
        let mut report = GcReport::default();
        while !reviews.is_empty() {
            let (done, looked) = match self.carry_out_some(moment, reviews.clone()).await {
                Err(Error::Store(store::Error::Corrupt { .. })) if reviews.len() > 1 => {
                    let alone = vec![reviews[0].clone()];
                    match self.carry_out_some(moment, alone).await {
                        Err(error) => (self.put_off(moment, &reviews[0], &error).await?, 1),
                        Ok(done) => done,
                    }
                }
                Err(error @ Error::Store(store::Error::Corrupt { .. })) => {
                    (self.put_off(moment, &reviews[0], &error).await?, 1)
                }
                outcome => outcome?,
            };
            report.add(&done);
            reviews.drain(..looked);
        }
        Ok(report)
    }

    /// Carries out as many of the reviews as fit into one transaction; tells how many.
    async fn carry_out_some(
        &self,
        moment: &Moment,
        reviews: Vec<Due>,
    ) -> Result<(GcReport, usize), Error> {
        let blobs = reviews.iter().filter_map(|(_, review)| match review {
            Review::Blob { repository, digest } => Some((*repository, *digest)),
            _ => None,
        });
        let condemned = moment.touches.condemn(blobs.collect());
        let owned = moment.clone();
        let write = self.write_timed(move |tx| {
            let begun = Instant::now();
            let mut run = Run::new(&owned, LARGE);
            let mut looked = 0;
            for (due, review) in &reviews {
                if looked > 0 && begun.elapsed() >= STOP {
                    break;
                }
                run.look(tx, *due, review)?;
                looked += 1;
            }
            Ok(((run.report, looked), run.gone))
        });
        let (outcome, unnamed) = write.await?;
        // Before the files: who waits for the outcome may hold a lock that they need.
        drop(condemned);
        self.unlink_all(unnamed).await;
        Ok(outcome)
    }

    /// Runs a transaction of the collector: times it, and after its commit corrects accounts and hot
    /// entries; returns the files that nobody needs any more, to be unlinked.
    async fn write_timed<T: Send + 'static>(
        &self,
        work: impl Fn(&mut WriteTx<'_>) -> Result<(T, Vec<Gone>), store::Error> + Send + 'static,
    ) -> Result<(T, Vec<Unnamed>), Error> {
        let unnamed: Arc<Mutex<Vec<Unnamed>>> = Arc::default();
        let (registry, found) = (self.clone(), unnamed.clone());
        let outcome = self.inner.store.write(move |tx| {
            let _timer = registry.inner.metrics.gc_transaction_seconds.start_timer();
            let (outcome, gone) = work(tx)?;
            let (registry, found) = (registry.clone(), found.clone());
            tx.after_commit(move || {
                for gone in gone {
                    registry.account_for(gone, &found);
                }
            });
            Ok::<_, Error>(outcome)
        });
        let outcome = outcome.await?;
        let unnamed = std::mem::take(&mut *unnamed.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((outcome, unnamed))
    }

    async fn unlink_all(&self, unnamed: Vec<Unnamed>) {
        futures_util::stream::iter(unnamed)
            .for_each_concurrent(UNLINKS, |blob| self.unlink_or_tell(blob))
            .await;
    }

    async fn unlink_or_tell(&self, blob: Unnamed) {
        if let Err(error) = self.unlink(blob).await {
            tracing::warn!(%error, "a collected blob's file is left to the next sweep");
        }
    }

    /// A review that meets a damaged row must not keep the others from their turn.
    async fn put_off(
        &self,
        moment: &Moment,
        (due, review): &Due,
        error: &Error,
    ) -> Result<GcReport, Error> {
        tracing::error!(%error, ?review, "a review met a damaged row and is put off");
        let (due, review, until) = (*due, review.clone(), moment.now + DAMAGED);
        let put_off = move |tx: &mut WriteTx<'_>| {
            tx.reviews().remove(due, &review)?;
            tx.reviews().put(until, &review)
        };
        self.inner.store.write(put_off).await?;
        Ok(GcReport {
            reviewed: 1,
            failed: 1,
            ..GcReport::default()
        })
    }
}

/// Reviews that are due.
#[derive(Default)]
struct Page {
    small: Vec<Due>,
    large: Vec<Due>,
}

fn is_large_garbage(tx: &ReadTx, moment: &Moment, review: &Review) -> Result<bool, store::Error> {
    let Review::Manifest { repository, digest } = review else {
        return Ok(false);
    };
    let Some(record) = tx.manifests().record(*repository, digest)? else {
        return Ok(false);
    };
    let place = moment.place(tx, *repository)?;
    let Some(place) = place.filter(|place| place.is_local) else {
        return Ok(false);
    };
    Ok(is_large(tx, &place, digest, &record, LARGE)?
        && moment.manifest(tx, &place, digest, &record)? == Verdict::Garbage)
}

/// Carries out everything that is due in a transaction that will not be committed.
fn rehearse(tx: &mut WriteTx<'_>, moment: &Moment) -> Result<GcReport, store::Error> {
    let mut run = Run::new(moment, usize::MAX);
    loop {
        let (mut after, mut looked) = (None, false);
        loop {
            let page = tx.reviews().due(moment.now, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            looked = true;
            for (due, review) in page {
                if tx.changed_bytes() > REHEARSAL_BYTES {
                    return Ok(run.report);
                }
                run.look(tx, due, &review)?;
                run.gone.clear();
            }
        }
        if !looked {
            run.report.complete = true;
            return Ok(run.report);
        }
    }
}
