//! One run of a mirror: from its begin, or where it was cut off, to its end.
//!
//! Called by `jobs`, which keeps it leased, and by the operator's command. All that a run comes to is written with
//! the content that it is about, under the run's number; whoever cancels it, or takes it over, changes the
//! generation, after which it writes nothing more. A run that is dropped leaves the mirror SYNCING, for the next
//! one to go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::copy::Copying;
use super::ending::{Outcome, begun_line, ended_line, ending};
use super::fetch::{Blobs, Tasks};
use super::metrics::RunOutcome;
use super::plan::Companions;
use super::seat::{RunLine, Seat, Seated, line, said, seated};
use super::state::{self, Due};
use super::survey::Parts;
use super::throttle::Patience;
use super::wave::Done;
use super::work::Work;
use super::{Error, Mirror};
use crate::model::{MirrorReport, MirrorStatus, Performer, RepositoryId, SyncState};
use crate::oci::Tag;
use crate::store::{ReadTx, WriteTx};

/// Companions of companions: a signature of an attestation of an image.
const WAVES: usize = 3;

/// How often it is looked whether somebody has cancelled.
const LOOK: Duration = Duration::from_secs(1);

/// A run that has the right to write.
struct Run {
    number: u64,
    generation: u64,
    /// It goes on where another was cut off.
    is_resumed: bool,
    report: MirrorReport,
}

/// Keeps a mirror from being run twice side by side in this process, and shows how far it is.
struct Running<'a> {
    mirror: &'a Mirror,
    repository: RepositoryId,
    shown: Arc<watch::Sender<MirrorReport>>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut running = self.mirror.running();
        running.remove(&self.repository);
    }
}

impl Mirror {
    fn running(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<RepositoryId, Arc<watch::Sender<MirrorReport>>>> {
        let running = &self.inner.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_running(&self, repository: RepositoryId) -> bool {
        self.running().contains_key(&repository)
    }

    /// How far the run of a mirror is that is under way in this process.
    pub fn watch(&self, repository: RepositoryId) -> Option<watch::Receiver<MirrorReport>> {
        let running = self.running();
        running.get(&repository).map(|shown| shown.subscribe())
    }

    fn begin_alone(&self, repository: RepositoryId) -> Result<Running<'_>, Error> {
        let shown = Arc::new(watch::Sender::new(MirrorReport::default()));
        let mut running = self.running();
        if running.contains_key(&repository) {
            return Err(Error::Busy);
        }
        running.insert(repository, Arc::clone(&shown));
        Ok(Running {
            mirror: self,
            repository,
            shown,
        })
    }

    /// Runs a mirror if it is due, to its end; one that was cut off goes on. Returns how it stands with it then;
    /// `None` if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::NoMirror`], [`Error::Busy`], [`Error::Off`]; the store's. A run that failed is none.
    pub async fn run(&self, repository: RepositoryId) -> Result<Option<MirrorStatus>, Error> {
        self.check_on()?;
        let running = self.begin_alone(repository)?;
        let seated = self.seated(repository).await?;
        if seated.due(self.now()) == Due::Nothing {
            return Ok(None);
        }
        let Some(run) = self.begin(&seated).await? else {
            return Ok(None);
        };
        let seat = seated.seat.clone();
        let metrics_of = (seated.namespace.1.clone(), seated.name.clone());
        let metrics = &self.inner.metrics;
        let metrics = metrics.of(metrics_of.0.as_str(), metrics_of.1.as_str());
        let by = seated.robot.clone().unwrap_or_default();
        let work = async {
            let work = Work::of(self, seated).await?;
            self.carry_out(Arc::new(work), &run, &running.shown).await
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.superseded(&seat, run.generation) => Err(Error::Cancelled),
        };
        metrics.set_pending(0);
        let ended = match outcome {
            Err(Error::Cancelled) => None,
            outcome => self.end(&seat, &run, &by, outcome, &running.shown).await?,
        };
        let Some(status) = ended else {
            metrics.count_run(RunOutcome::Cancelled);
            self.note_cancelled(&seat, &run, &by).await?;
            return self.status(&seat).await;
        };
        match status.state {
            SyncState::Success => {
                let report = &status.report;
                tracing::info!(
                    repository.name = %format_args!("{}/{}", metrics_of.0, metrics_of.1),
                    copied = report.copied,
                    unchanged = report.unchanged,
                    ended = report.ended_tags,
                    size_bytes = report.bytes,
                    "a mirror was synchronized"
                );
                metrics.count_run(RunOutcome::Success);
                metrics.set_last_success(self.now().as_secs());
            }
            _ => metrics.count_run(RunOutcome::Failed),
        }
        Ok(Some(status))
    }

    /// Has a mirror run as soon as may be, whatever its schedule says.
    ///
    /// # Errors
    /// [`Error::NoMirror`]; [`Error::Busy`] while it runs.
    pub async fn want(&self, repository: RepositoryId) -> Result<(), Error> {
        if self.is_running(repository) {
            return Err(Error::Busy);
        }
        let want = move |tx: &mut WriteTx<'_>| {
            let seated = seated(tx, repository)?.ok_or(Error::NoMirror)?;
            // One that was cut off goes on.
            if seated.status.state != SyncState::Syncing {
                let status = state::wanted(seated.status);
                seated.seat.put_status(tx, &status)?;
            }
            Ok::<_, Error>(())
        };
        self.registry().store().write(want).await
    }

    /// How it stands with a mirror.
    ///
    /// # Errors
    /// The store's.
    pub async fn status_of(&self, repository: RepositoryId) -> Result<Option<MirrorStatus>, Error> {
        let read = move |tx: &ReadTx| Ok(seated(tx, repository)?.map(|seated| seated.status));
        self.registry().store().read(read).await
    }

    pub(super) async fn status(&self, seat: &Seat) -> Result<Option<MirrorStatus>, Error> {
        let read = |tx: &ReadTx| seat.status(tx);
        Ok(self.registry().store().read(read).await?)
    }

    /// Takes the right to run, and tells the log of it.
    async fn begin(&self, seen: &Seated) -> Result<Option<Run>, Error> {
        let (repository, now) = (seen.seat.repository(), self.now());
        let begin = move |tx: &mut WriteTx<'_>| {
            let Some(seated) = seated(tx, repository)? else {
                return Ok(None);
            };
            let due = seated.due(now);
            let status = match due {
                Due::Nothing => return Ok(None),
                Due::Begin => state::begun(seated.status.clone(), now),
                Due::Resume => state::resumed(seated.status.clone(), now),
            };
            seated.seat.put_status(tx, &status)?;
            if due == Due::Begin {
                tx.logs().append(&begun_line(&seated, now))?;
            }
            Ok::<_, Error>(Some(Run {
                number: status.run,
                generation: status.generation,
                is_resumed: due == Due::Resume,
                report: status.report,
            }))
        };
        self.registry().store().write(begin).await
    }

    /// Waits until somebody has taken the right to write from a run.
    async fn superseded(&self, seat: &Seat, generation: u64) {
        loop {
            let changed = self.inner.changed.notified();
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = changed => {}
            }
            // What cannot be read now is read at the next look.
            let status = self.status(seat).await.ok();
            let is_ours = |status: Option<MirrorStatus>| {
                status.is_some_and(|status| status.generation == generation)
            };
            if status.is_some_and(|status| !is_ours(status)) {
                return;
            }
        }
    }

    async fn carry_out(
        &self,
        work: Arc<Work>,
        run: &Run,
        shown: &watch::Sender<MirrorReport>,
    ) -> Result<Outcome, Error> {
        // Strong here only: what the run has going ends when this does.
        let tasks = Arc::new(Tasks::default());
        work.received.store(run.report.bytes, Ordering::Relaxed);
        let copying = Copying {
            blobs: Blobs::new(Arc::clone(&work), &tasks),
            work: Arc::clone(&work),
            run: run.number,
            generation: run.generation,
        };
        shown.send_replace(run.report.clone());
        let patience = Patience::of(Duration::from_secs(work.record.deadline_s));
        let listing = work.list(&patience).await?;
        let chosen = work.chooser.choose(&listing);
        let mut outcome = Outcome::default();
        if chosen.is_empty() {
            outcome.message = Some("No tags matched".to_owned());
            return Ok(outcome);
        }
        let local = work.local().await?;
        let companions = match work.record.options.referrers {
            true => Companions::of(&listing),
            false => Companions::default(),
        };
        let done = match run.is_resumed {
            true => work.done_by(run.number).await?,
            false => Done::new(),
        };
        let mut kept: BTreeSet<Tag> = chosen.iter().cloned().collect();
        let mut wave = chosen;
        for number in 0..WAVES {
            let parts = match number {
                0 => Parts::Asked,
                _ => Parts::All,
            };
            shown.send_modify(|report| report.chosen += wave.len() as u64);
            let subjects = copying
                .wave((wave, parts), (&local, &done), shown, &mut outcome)
                .await?;
            wave = work.companions(&companions, subjects, &kept).await?;
            kept.extend(wave.iter().cloned());
            if wave.is_empty() || outcome.not_tried > 0 {
                break;
            }
        }
        if outcome.not_tried == 0 {
            copying.ask_again(&local, &kept).await?;
            copying.end_tags(&local, &kept, shown, &mut outcome).await?;
        }
        shown.send_modify(|report| report.bytes = work.received.load(Ordering::Relaxed));
        Ok(outcome)
    }

    /// Says how a run ended; `None` if it had no right to any more.
    async fn end(
        &self,
        seat: &Seat,
        run: &Run,
        by: &Performer,
        outcome: Result<Outcome, Error>,
        shown: &watch::Sender<MirrorReport>,
    ) -> Result<Option<MirrorStatus>, Error> {
        let report = shown.borrow().clone();
        let (ending, failed) = ending(outcome, &report);
        if !ending.is_success {
            tracing::warn!(
                repository.id = seat.repository().0,
                reason = ending.message,
                "a mirror failed"
            );
        }
        let (now, generation) = (self.now(), run.generation);
        let (seat, by) = (seat.clone(), by.clone());
        let end = move |tx: &mut WriteTx<'_>| {
            let Some(seated) = seated(tx, seat.repository())? else {
                return Ok(None);
            };
            if seated.status.generation != generation {
                return Ok(None);
            }
            // Copied and failed are counted with the tags.
            let counted = MirrorReport {
                chosen: report.chosen,
                unchanged: report.unchanged,
                ended_tags: report.ended_tags,
                bytes: report.bytes,
                ..seated.status.report.clone()
            };
            let status = MirrorStatus {
                report: counted,
                ..seated.status
            };
            let status = state::ended(status, &ending, &seated.times(), now);
            seat.put_status(tx, &status)?;
            tx.logs()
                .append(&ended_line(&seated, &by, &ending, &failed, now))?;
            Ok::<_, Error>(Some(status))
        };
        self.registry().store().write(end).await
    }

    /// Tells the log that a run was cancelled, once.
    async fn note_cancelled(&self, seat: &Seat, run: &Run, by: &Performer) -> Result<(), Error> {
        let (now, number) = (self.now(), run.number);
        let (seat, by) = (seat.clone(), by.clone());
        let note = move |tx: &mut WriteTx<'_>| {
            let Some(seated) = seated(tx, seat.repository())? else {
                return Ok(());
            };
            let mut status = seated.status.clone();
            let is_it = status.state == SyncState::Cancel
                && status.run == number
                && status.report.ended.is_none();
            if !is_it {
                return Ok::<_, Error>(());
            }
            status.report.ended = Some(now);
            "cancelled".clone_into(&mut status.report.message);
            seat.put_status(tx, &status)?;
            let names = (&seated.namespace.1, &seated.name);
            let message = format!("'{}' cancelled", seated.record.source.reference);
            let said = said("Cancelled", names, &message, json!({}));
            let place = (seated.namespace.0, seat.repository());
            let kind = seat.kind(RunLine::Cancelled);
            tx.logs().append(&line(kind, now, &by, place, said))?;
            Ok(())
        };
        self.registry().store().write(note).await
    }
}
