//! What a run does with the tags of its source: copies what changed, looks again at what did not, ends what is
//! chosen no more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::watch;

use super::Error;
use super::copy::{Copying, TagResult, Told};
use super::ending::Outcome;
use super::metrics::TagOutcome;
use super::plan::{Endings, Local, endings};
use super::survey::Parts;
use super::throttle::Patience;
use crate::model::{Deletion, MirrorReport};
use crate::oci::{Digest, Tag};
use crate::registry;

/// Tags that are looked at and copied side by side.
const TAGS: usize = 8;

/// Tags that fail one after the other because the source does not answer, before the rest waits for another run.
const OUTAGES: usize = 3;

/// Tags that a run that is taken up again had copied before.
pub(super) type Done = BTreeSet<Tag>;

impl Copying {
    /// Looks at some tags, a few side by side, and copies what changed; returns what they lead to here.
    pub(super) async fn wave(
        &self,
        (tags, parts): (Vec<Tag>, Parts),
        (local, done): (&Local, &Done),
        shown: &watch::Sender<MirrorReport>,
        outcome: &mut Outcome,
    ) -> Result<Vec<Digest>, Error> {
        let mut subjects = Vec::new();
        let (was_done, tags): (Vec<Tag>, Vec<Tag>) =
            tags.into_iter().partition(|tag| done.contains(tag));
        for tag in was_done {
            subjects.extend(local.get(&tag).map(|local| local.digest));
        }
        let mut left = tags.len();
        // What is under way goes to its end; what is not waits for another run.
        let halted = &AtomicBool::new(false);
        let look = |tag: Tag| async move {
            match halted.load(Ordering::Relaxed) {
                true => None,
                false => Some(self.tag(tag, local, parts).await),
            }
        };
        let mut asked = stream::iter(tags).map(look).buffer_unordered(TAGS);
        let mut outages = 0;
        while let Some(told) = asked.next().await {
            left -= 1;
            self.work.metrics.set_pending(left as u64);
            let Some(told) = told else {
                outcome.not_tried += 1;
                continue;
            };
            subjects.extend(told.subjects.iter().copied());
            let bytes = self.work.received.load(Ordering::Relaxed);
            shown.send_modify(|report| count(report, &told.result, bytes));
            let Told { tag, result, .. } = told;
            let TagResult::Failed(error) = result else {
                outages = 0;
                continue;
            };
            if matches!(error, Error::Cancelled) {
                return Err(error);
            }
            outages = match is_outage(&error) {
                Some(Outage::Limited) => OUTAGES,
                Some(Outage::Silent) => outages + 1,
                None => outages,
            };
            outcome.fail(tag, error);
            if outages >= OUTAGES {
                halted.store(true, Ordering::Relaxed);
            }
        }
        Ok(subjects)
    }

    /// Asks what refers to the youngest tags that did not change: images are signed after they are pushed.
    pub(super) async fn ask_again(&self, local: &Local, kept: &BTreeSet<Tag>) -> Result<(), Error> {
        let work = &self.work;
        for subject in work.young(local, kept).await? {
            let patience = Patience::of(Duration::from_secs(work.record.deadline_s));
            let missing = match work.missing_referrers(&subject, &patience).await {
                Ok(missing) => missing,
                // The tags are whole; the next run asks again.
                Err(Error::Upstream(error)) => {
                    tracing::info!(%error, "referrers could not be asked for");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            for referrer in missing {
                let reference = crate::oci::Reference::Digest(referrer);
                let landed = async {
                    match work.survey(reference, Parts::All, &patience).await? {
                        Some(tree) => self.land(tree, None).await,
                        None => Ok(()),
                    }
                };
                if let Err(error) = landed.await {
                    tracing::info!(%error, manifest.digest = %referrer, "a referrer could not be mirrored");
                }
            }
        }
        Ok(())
    }

    /// Ends tags that are chosen no more.
    pub(super) async fn end_tags(
        &self,
        local: &Local,
        kept: &BTreeSet<Tag>,
        shown: &watch::Sender<MirrorReport>,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let work = &self.work;
        let options = &work.record.options;
        let over = match endings(local, kept, options.deletion, options.deletion_cap_percent) {
            Endings::Tags(over) => over,
            Endings::TooMany { tags, held } => {
                outcome.message = Some(format!(
                    "{tags} of {held} tags are chosen no more, which is over the limit of {} %: none was ended",
                    options.deletion_cap_percent
                ));
                return Ok(());
            }
        };
        for tag in over {
            self.check_rights().await?;
            if options.deletion == Deletion::Archive
                && let Some(local) = local.get(&tag)
            {
                work.archive(&tag, &local.digest).await?;
            }
            match work
                .registry()
                .delete_tag(&work.placed, &tag, &work.by)
                .await
            {
                Ok(()) => {
                    work.metrics.count_tag(TagOutcome::Ended);
                    shown.send_modify(|report| report.ended_tags += 1);
                }
                // Somebody ended it, or protects it, since it was looked at.
                Err(registry::Error::ManifestUnknown | registry::Error::TagImmutable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn check_rights(&self) -> Result<(), Error> {
        let status = self.work.mirror.status(&self.work.seat).await?;
        match status.is_some_and(|status| status.generation == self.generation) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }
}

fn count(report: &mut MirrorReport, result: &TagResult, bytes: u64) {
    report.bytes = bytes;
    match result {
        TagResult::Unchanged | TagResult::Skipped => report.unchanged += 1,
        TagResult::Copied => report.copied += 1,
        TagResult::Failed(_) => report.failed += 1,
    }
}

/// Why it may be of no use to go on with other tags now.
enum Outage {
    Limited,
    Silent,
}

fn is_outage(error: &Error) -> Option<Outage> {
    match error {
        Error::Upstream(crate::upstream::Error::RateLimited { .. }) => Some(Outage::Limited),
        Error::Upstream(error) if error.is_outage() => Some(Outage::Silent),
        _ => None,
    }
}
