//! One run of a mirror: from its begin, or where it was cut off, to its end.
//!
//! Called by `jobs`, which keeps it leased, and by the operator's command. All that a run comes to is written with
//! the content that it is about, under the run's number; whoever cancels it, or takes it over, changes the
//! generation, after which it writes nothing more. A run that is dropped leaves the mirror SYNCING, for the next
//! one to go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;

use super::copy::{Copying, TagResult, Told};
use super::fetch::{Blobs, Tasks};
use super::metrics::{RunOutcome, TagOutcome};
use super::plan::{Companions, Endings, Local, LocalTag, endings};
use super::seat::{RunLine, Seat, Seated, line, said, seated};
use super::state::{self, Due, Ending};
use super::survey::Parts;
use super::throttle::Patience;
use super::work::Work;
use super::{Error, Mirror};
use crate::model::{
    Deletion, LogEntry, MirrorReport, MirrorStatus, Performer, RepositoryId, SyncState, Timestamp,
};
use crate::oci::{Digest, Tag};
use crate::registry;
use crate::store::{ReadTx, WriteTx};

/// Tags that are looked at and copied side by side.
const TAGS: usize = 8;

/// Companions of companions: a signature of an attestation of an image.
const WAVES: usize = 3;

/// Tags that did not change and are asked for new referrers, the youngest first.
const ASKED_AGAIN: usize = 50;

/// Tags that fail one after the other because the source does not answer, before the rest waits for another run.
const OUTAGES: usize = 3;

/// How often it is looked whether somebody has cancelled.
const LOOK: Duration = Duration::from_secs(1);

/// Rows read in one go.
const PAGE: usize = 1_000;

/// A run that has the right to write.
struct Run {
    number: u64,
    generation: u64,
    /// It goes on where another was cut off.
    is_resumed: bool,
    report: MirrorReport,
}

/// How all of it went.
#[derive(Default)]
struct Outcome {
    failed: Vec<Tag>,
    first: Option<Error>,
    not_tried: usize,
    message: Option<String>,
    /// How long the source asked to be left alone.
    wait: Option<Duration>,
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

    async fn status(&self, seat: &Seat) -> Result<Option<MirrorStatus>, Error> {
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
        let done = work.done_by(run).await?;
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

/// What a run says of what it copies (Quay's words).
fn about(seated: &Seated) -> String {
    let patterns = seated.record.tags.globs.join(",");
    let reference = &seated.record.source.reference;
    format!("'{reference}' with tag pattern '{patterns}'")
}

fn begun_line(seated: &Seated, now: Timestamp) -> LogEntry {
    let names = (&seated.namespace.1, &seated.name);
    let said = said("start", names, &about(seated), json!({}));
    let by = seated.robot.clone().unwrap_or_default();
    let place = (seated.namespace.0, seated.seat.repository());
    line(seated.seat.kind(RunLine::Started), now, &by, place, said)
}

fn ended_line(
    seated: &Seated,
    by: &Performer,
    ending: &Ending,
    failed: &[Tag],
    now: Timestamp,
) -> LogEntry {
    let names = (&seated.namespace.1, &seated.name);
    let marked: Vec<String> = failed.iter().map(|tag| format!("{tag}(FAILED)")).collect();
    let message = match failed.is_empty() {
        true => about(seated),
        false => format!("PARTIAL SYNC: {}", about(seated)),
    };
    let tags = (!marked.is_empty()).then(|| marked.join(", "));
    let (kind, stderr) = match ending.is_success {
        true => (RunLine::Success, None),
        false => (RunLine::Failed, Some(ending.message.as_str())),
    };
    let more = json!({"tags": tags, "stdout": ending.message, "stderr": stderr});
    let said = said("end", names, &message, more);
    let place = (seated.namespace.0, seated.seat.repository());
    line(seated.seat.kind(kind), now, by, place, said)
}

/// In a word how a run went, and which tags failed.
fn ending(outcome: Result<Outcome, Error>, report: &MirrorReport) -> (Ending, Vec<Tag>) {
    let mut chance = [0; 8];
    // Without randomness nothing is spread, which is no reason to do nothing.
    let _ = getrandom::fill(&mut chance);
    let chance = u64::from_le_bytes(chance);
    let (is_success, message, wait, failed) = match outcome {
        Ok(outcome) => {
            let is_success = outcome.failed.is_empty() && outcome.not_tried == 0;
            let refused = outcome.message.is_some() && report.chosen > 0;
            let message = message(&outcome, report);
            (
                is_success && !refused,
                message,
                outcome.wait,
                outcome.failed,
            )
        }
        Err(error) => (false, error.to_string(), wait(&error), Vec::new()),
    };
    let ending = Ending {
        is_success,
        message,
        wait,
        chance,
    };
    (ending, failed)
}

fn message(outcome: &Outcome, report: &MirrorReport) -> String {
    let mut words = Vec::new();
    if let Some(first) = outcome.failed.first() {
        let reason = outcome.first.as_ref().map(ToString::to_string);
        let (count, reason) = (outcome.failed.len(), reason.unwrap_or_default());
        words.push(format!(
            "{count} of {} tags failed, {first}: {reason}",
            report.chosen
        ));
    }
    if outcome.not_tried > 0 {
        words.push(format!("{} tags wait for another try", outcome.not_tried));
    }
    words.extend(outcome.message.clone());
    words.join("; ")
}

/// How long the source asked to be left alone.
const fn wait(error: &Error) -> Option<Duration> {
    match error {
        Error::Upstream(error) => error.retry_after(),
        _ => None,
    }
}

impl Outcome {
    fn fail(&mut self, tag: Tag, error: Error) {
        self.wait = self.wait.max(wait(&error));
        self.failed.push(tag);
        self.first.get_or_insert(error);
    }
}

/// Tags that a run that is taken up again had copied before.
type Done = BTreeSet<Tag>;

impl Copying {
    /// Looks at some tags, a few side by side, and copies what changed; returns what they lead to here.
    async fn wave(
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
    async fn ask_again(&self, local: &Local, kept: &BTreeSet<Tag>) -> Result<(), Error> {
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
    async fn end_tags(
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

impl Work {
    /// All tags of the source, listed once: a list that is cut off is none (CA-10).
    pub(super) async fn list(&self, patience: &Patience) -> Result<Vec<Tag>, Error> {
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let ask = move || upstream.list_tags(name);
        Ok(self.source.patiently(patience, ask).await?)
    }

    /// What is here.
    pub(super) async fn local(&self) -> Result<Local, Error> {
        let (now, mut local, mut after) = (self.mirror.now(), Local::new(), None);
        loop {
            let repository = self.placed.repository;
            let page = self.registry().list_tags(repository, after, PAGE).await?;
            after = page.last().map(|(tag, _)| tag.clone());
            if after.is_none() {
                return Ok(local);
            }
            let alive = page.into_iter().filter(|(_, tag)| !tag.has_expired(now));
            local.extend(alive.map(|(tag, record)| {
                let found = LocalTag {
                    digest: record.digest,
                    immutable: record.immutable,
                    whole: true,
                };
                (tag, found)
            }));
        }
    }

    /// Tags that this run copied before it was cut off.
    async fn done_by(&self, run: &Run) -> Result<Done, Error> {
        let mut done = Done::new();
        if !run.is_resumed {
            return Ok(done);
        }
        let (repository, number, mut after) = (self.placed.repository, run.number, None::<Tag>);
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| tx.mirrors().tags(repository, behind.as_ref(), PAGE);
            let page: Vec<_> = self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                return Ok(done);
            };
            after = Some(last.clone());
            let copied = page
                .into_iter()
                .filter(|(_, record)| record.run == number && record.failure.is_none());
            done.extend(copied.map(|(tag, _)| tag));
        }
    }

    /// The companions of what is here that are not among the tags already.
    pub(super) async fn companions(
        &self,
        companions: &Companions,
        subjects: Vec<Digest>,
        kept: &BTreeSet<Tag>,
    ) -> Result<Vec<Tag>, Error> {
        if companions.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = BTreeSet::new();
        for subject in subjects {
            let record = self
                .registry()
                .manifest_record(self.placed.repository, &subject);
            let children = record.await?.map(|record| record.children);
            for digest in children.into_iter().flatten().chain([subject]) {
                let of = companions.of_manifest(&digest).iter();
                found.extend(of.filter(|tag| !kept.contains(*tag)).cloned());
            }
        }
        found.retain(|tag| !self.chooser.excludes(tag));
        Ok(found.into_iter().collect())
    }

    /// What the youngest tags point to that have not changed, none if the source has no referrers API.
    pub(super) async fn young(
        &self,
        local: &Local,
        kept: &BTreeSet<Tag>,
    ) -> Result<Vec<Digest>, Error> {
        if !self.record.options.referrers || self.lacks_referrers_api.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let mut young = Vec::new();
        for (tag, before) in local.iter().filter(|(tag, _)| kept.contains(*tag)) {
            let repository = self.placed.repository;
            let now = self.registry().lookup_tag(repository, tag).await?;
            let record = now.map(|now| (now.record.since, now.record.digest));
            young.extend(record.filter(|(_, digest)| *digest == before.digest));
        }
        young.sort_unstable_by_key(|(since, digest)| (std::cmp::Reverse(*since), *digest));
        young.dedup_by_key(|(_, digest)| *digest);
        young.truncate(ASKED_AGAIN);
        Ok(young.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Keeps what a tag points to under a name that tells when the tag ended.
    async fn archive(&self, tag: &Tag, digest: &Digest) -> Result<(), Error> {
        let day = self.mirror.now().to_string();
        let day: String = day.chars().take(10).filter(char::is_ascii_digit).collect();
        let name: String = format!("archived-{day}-{tag}");
        // The longest tags lose their end.
        let name: String = name.chars().take(crate::oci::limits::TAG_BYTES).collect();
        let archived: Tag = name.parse()?;
        let repository = self.placed.repository;
        let retagged = self
            .registry()
            .retag(repository, &archived, digest, &self.by);
        match retagged.await {
            // Another of that name is kept already.
            Ok(()) | Err(registry::Error::TagImmutable { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
