//! The removal of a manifest that names more than one transaction should touch.
//!
//! The first write marks it as deleted for good, so that it is there for nobody; each write takes some
//! of its names and has what they name looked at; then its referrers are, a page at a time; the last
//! write removes it. Its review stays until then, so that a run that is cut off is taken up again.
//! A push of the same manifest in between puts a whole record in its place, and it stays.

use super::step::{LARGE, Run};
use super::verdict::{CONDEMNED, Moment, Verdict};
use super::{Due, Registry};
use crate::model::Review;
use crate::oci::Digest;
use crate::registry::Error;
use crate::registry::gc::GcReport;
use crate::registry::remove::Gone;
use crate::store::{self, WriteTx};

/// How far a dismantling has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Progress {
    #[default]
    Names,
    /// Referrers up to this one have been put on the agenda.
    Referrers(Option<Digest>),
    Done,
}

impl Registry {
    /// Removes a large manifest that nothing needs.
    pub(super) async fn dismantle(&self, moment: &Moment, due: Due) -> Result<GcReport, Error> {
        let mut report = GcReport::default();
        let mut progress = Progress::default();
        while progress != Progress::Done {
            let (moment, due) = (moment.clone(), due.clone());
            // No manifest has a file of its own.
            let ((done, next), _) = self
                .write_timed(move |tx| {
                    let mut run = Run::new(&moment, LARGE);
                    let next = take_apart(tx, &mut run, &moment, &due, progress)?;
                    Ok(((run.report, next), run.gone))
                })
                .await?;
            report.add(&done);
            progress = next;
        }
        report.reviewed += 1;
        Ok(report)
    }
}

/// One write of a dismantling.
fn take_apart(
    tx: &mut WriteTx<'_>,
    run: &mut Run<'_>,
    moment: &Moment,
    (due, review): &Due,
    progress: Progress,
) -> Result<Progress, store::Error> {
    let Review::Manifest { repository, digest } = review else {
        return Ok(Progress::Done);
    };
    let (repository, record) = (*repository, tx.manifests().record(*repository, digest)?);
    let (Some(record), Some(place)) = (record, moment.place(tx, repository)?) else {
        tx.reviews().remove(*due, review)?;
        return Ok(Progress::Done);
    };
    match moment.manifest(tx, &place, digest, &record)? {
        Verdict::Garbage => {}
        kept => {
            tx.reviews().remove(*due, review)?;
            if let Verdict::Until(until) = kept {
                tx.reviews().put(until, review)?;
            }
            return Ok(Progress::Done);
        }
    }
    match progress {
        Progress::Names => {
            let named = tx
                .manifests()
                .dismantle(repository, digest, CONDEMNED, LARGE)?;
            let (children, blobs) = named;
            run.release_children(tx, repository, &children)?;
            run.suspect(tx, repository, &children, &blobs)?;
            let mut gone = Gone::of(place.namespace, repository);
            gone.touched.digests.push(*digest);
            run.gone.push(gone);
            match children.len() + blobs.len() < LARGE {
                true => Ok(Progress::Referrers(None)),
                false => Ok(Progress::Names),
            }
        }
        Progress::Referrers(after) => {
            let last = run.suspect_referrers(tx, repository, digest, after.as_ref(), LARGE)?;
            if last.is_some() {
                return Ok(Progress::Referrers(last));
            }
            run.remove_alone(tx, &place, digest)?;
            tx.reviews().remove(*due, review)?;
            Ok(Progress::Done)
        }
        Progress::Done => Ok(Progress::Done),
    }
}
