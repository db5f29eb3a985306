//! One fill a blob: fetched once, written to a growing file that every asker reads.
//!
//! The fill is a task of its own. It resumes where upstream broke off, and where an earlier run of the
//! process stopped; it gives up when upstream keeps failing without giving bytes, and pauses, keeping
//! what it has, when nobody has been reading for a while and much is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::Cache;
use super::room::Parked;
use super::run::Run;
use super::{Error, Proxy, Source};
use crate::blob::{self, BlobFile, Partial, PartialFailureKind, Progress};
use crate::model::Unit;
use crate::oci::Digest;
use crate::upstream::BlobBody;

/// How long a fill goes on for nobody.
const UNREAD: Duration = Duration::from_secs(30);

/// A fill with no more than this left is finished even for nobody.
const NEARLY_DONE: u64 = 64 * 1024 * 1024;

/// Running fills by digest.
#[derive(Default)]
pub(super) struct Fills {
    running: Mutex<HashMap<Digest, Arc<Fill>>>,
    pub(super) parked: Parked,
    pub(super) stopping: watch::Sender<bool>,
}

impl Fills {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Fill>>> {
        // Inserts and removes only: a panic elsewhere leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of every fill.
    pub(super) fn map<T>(&self, of: impl Fn(&Digest, &Fill) -> T) -> Vec<T> {
        let running = self.lock();
        running
            .iter()
            .map(|(digest, fill)| of(digest, fill))
            .collect()
    }

    /// Takes a fill out of the list: who asks from here on finds the blob, or begins anew.
    pub(super) fn remove(&self, digest: &Digest) {
        self.lock().remove(digest);
    }
}

/// What askers wait for: the file to read, or the reason why there is none.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Preparing,
    /// Upstream answers, or bytes from before are here.
    Growing(Partial),
    /// It is here: another fill ended as this one began.
    Held(BlobFile),
    /// It does not fit: each asker streams past the cache.
    Uncached,
    Failed(Error),
}

/// One blob on its way in.
pub(super) struct Fill {
    stage: watch::Sender<Stage>,
    /// Repositories that get the blob when it is there, the first asker's first.
    places: Mutex<Vec<Source>>,
    readers: Mutex<Readers>,
    no_room: AtomicBool,
    /// Upstream's answer to what does not fit, for the first who streams past the cache.
    opened: Mutex<Option<BlobBody>>,
    /// Whether its task is done with the blob and its rows.
    done: watch::Sender<bool>,
}

struct Readers {
    count: usize,
    /// Since when there are none.
    idle_since: Instant,
}

/// Keeps a fill going for its reader.
pub(super) struct Reading(Arc<Fill>);

impl Reading {
    /// Whether the file broke off because there is no more room for it, on the disk or in the account:
    /// its bytes are right, and the rest can come past the cache.
    pub(super) fn lost_its_room(&self, file: &Partial) -> bool {
        let on_disk = matches!(
            file.progress(),
            Progress::Failed(failure) if failure.kind == PartialFailureKind::Storage
        );
        on_disk || self.0.no_room.load(Ordering::Acquire)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut readers = self.0.readers();
        readers.count -= 1;
        readers.idle_since = Instant::now();
    }
}

impl Fill {
    fn new(source: &Source) -> Self {
        Self {
            stage: watch::Sender::new(Stage::Preparing),
            places: Mutex::new(vec![source.clone()]),
            readers: Mutex::new(Readers {
                count: 0,
                idle_since: Instant::now(),
            }),
            no_room: AtomicBool::new(false),
            opened: Mutex::default(),
            done: watch::Sender::new(false),
        }
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, for which repository, and how many read it.
    pub(super) fn seen(&self) -> (Stage, String, usize) {
        let first = self.places().first().map(|place| {
            let organization = place.organization();
            format!("{organization}/{}", place.name())
        });
        let stage = self.stage.borrow().clone();
        (stage, first.unwrap_or_default(), self.readers().count)
    }

    fn places(&self) -> MutexGuard<'_, Vec<Source>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the blob linked to one more repository when it is there.
    fn add_place(&self, source: &Source) {
        if !self.has_place(source) {
            self.places().push(source.clone());
        }
    }

    fn has_place(&self, source: &Source) -> bool {
        self.places().iter().any(|place| is_same(place, source))
    }

    /// Whether it asks upstream in the name of this repository: its failure is the repository's own.
    pub(super) fn is_for(&self, source: &Source) -> bool {
        self.places()
            .first()
            .is_some_and(|place| is_same(place, source))
    }

    /// Whether the bytes on their way are for everyone, or for the organisation of `source` anyway.
    fn is_open_to(&self, source: &Source) -> bool {
        let is_open =
            |place: &Source| place.is_public() || place.organization == source.organization;
        self.places().iter().any(is_open)
    }

    /// The repositories beside the first that get the blob when it is there.
    pub(super) fn other_places(&self) -> Vec<Source> {
        self.places().iter().skip(1).cloned().collect()
    }

    /// Notes that the file breaks off for want of room: its readers go on past the cache.
    pub(super) fn lose_room(&self) {
        self.no_room.store(true, Ordering::Release);
    }

    /// Leaves an answer to whoever streams past the cache, if it is one from the first byte on.
    pub(super) fn leave_open(&self, body: BlobBody) {
        if body.start() == 0 {
            *self.opened() = Some(body);
        }
    }

    /// Takes the answer that was left.
    pub(super) fn take_opened(&self) -> Option<BlobBody> {
        self.opened().take()
    }

    fn opened(&self) -> MutexGuard<'_, Option<BlobBody>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits for the end of the task that it is done.
    pub(super) fn end(&self) {
        self.done.send_replace(true);
    }

    /// Counts a reader until the guard is dropped.
    pub(super) fn read(self: &Arc<Self>) -> Reading {
        self.readers().count += 1;
        Reading(self.clone())
    }

    pub(super) fn is_unread(&self, left: u64) -> bool {
        let readers = self.readers();
        readers.count == 0 && left > NEARLY_DONE && readers.idle_since.elapsed() > UNREAD
    }

    /// Waits until it is known how the blob can be read.
    pub(super) async fn stage(&self) -> Stage {
        let mut stage = self.stage.subscribe();
        let known = stage
            .wait_for(|stage| !matches!(stage, Stage::Preparing))
            .await;
        known.map_or(Stage::Failed(Error::Abandoned), |stage| stage.clone())
    }

    /// Whether it has failed already and is only about to leave the list.
    pub(super) fn is_over(&self) -> bool {
        match &*self.stage.borrow() {
            Stage::Growing(partial) => matches!(partial.progress(), Progress::Failed(_)),
            Stage::Failed(_) => true,
            Stage::Preparing | Stage::Held(_) | Stage::Uncached => false,
        }
    }

    /// Waits until it has left the list, or goes on after all.
    pub(super) async fn moved(&self) {
        let (mut stage, mut done) = (self.stage.subscribe(), self.done.subscribe());
        tokio::select! {
            _ = stage.changed() => {}
            _ = done.wait_for(|done| *done) => {}
        }
    }

    /// Waits until the fill has ended; its error if it failed.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        match self.stage().await {
            Stage::Growing(partial) => partial.finished().await.map(drop).map_err(broken),
            Stage::Failed(error) => Err(error),
            Stage::Preparing | Stage::Held(_) | Stage::Uncached => Ok(()),
        }
    }

    /// Waits until its task is done with the blob's rows as well: only then a repository shows it.
    pub(super) async fn settled(&self) {
        // The sender is this fill's own.
        let _ = self.done.subscribe().wait_for(|done| *done).await;
    }

    /// Tells those who still wait how the blob can be read, or that it cannot.
    pub(super) fn tell(&self, stage: Stage) {
        self.stage.send_if_modified(|current| {
            // A file that was begun anew leaves its first readers without one.
            let is_over = match current {
                Stage::Preparing => true,
                Stage::Growing(partial) => {
                    matches!(stage, Stage::Growing(_))
                        && matches!(partial.progress(), Progress::Failed(_))
                }
                Stage::Held(_) | Stage::Uncached | Stage::Failed(_) => false,
            };
            if is_over {
                *current = stage;
            }
            is_over
        });
    }
}

/// What a fill that broke off is to those who have not read any of it.
fn broken(error: blob::Error) -> Error {
    match &error {
        blob::Error::PartialFailed { failure, .. }
            if failure.kind == PartialFailureKind::Mismatch =>
        {
            let reason = error.to_string();
            Error::BadGateway { reason }
        }
        _ => Error::Blob(error),
    }
}

fn is_same(one: &Source, other: &Source) -> bool {
    one.organization == other.organization && one.name == other.name
}

/// Who says that the repository has the blob.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Voucher {
    Nobody,
    /// A manifest of the repository names it: enough for bytes that everyone may read.
    Manifest,
    Upstream,
}

/// What a fill needs to know of the blob it fetches.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) source: Source,
    pub(super) cache: Arc<Cache>,
    pub(super) digest: Digest,
    /// Size as a manifest of the repository states it, in bytes.
    pub(super) expected: Option<u64>,
    /// Size of the smallest image of the repository that has it, in bytes.
    pub(super) image: Option<u64>,
    /// The manifests that it is fetched for.
    pub(super) units: Vec<Unit>,
    pub(super) voucher: Voucher,
}

impl Proxy {
    /// Whether a fill of this digest runs that no one of this repository has asked for.
    pub(super) fn is_filling_for_others(&self, digest: &Digest, source: &Source) -> bool {
        let running = self.inner.fills.lock();
        running
            .get(digest)
            .is_some_and(|fill| !fill.has_place(source))
    }

    /// Whether a fill of this digest runs whose bytes are for private organisations of others.
    pub(super) fn is_filling_privately(&self, digest: &Digest, source: &Source) -> bool {
        let running = self.inner.fills.lock();
        running
            .get(digest)
            .is_some_and(|fill| !fill.is_open_to(source))
    }

    /// Whether a fill of this digest runs.
    pub fn is_filling(&self, digest: &Digest) -> bool {
        self.inner.fills.lock().contains_key(digest)
    }

    /// Begins a fill, or joins the one that runs; tells whether it began one. `None` if the one that
    /// runs is for others, and the voucher of this repository does not suffice.
    pub(super) fn fill(&self, order: Order) -> Option<(Arc<Fill>, bool)> {
        let mut running = self.inner.fills.lock();
        if let Some(fill) = running.get(&order.digest) {
            let may_join = match order.voucher {
                Voucher::Nobody => false,
                Voucher::Manifest => fill.is_open_to(&order.source),
                Voucher::Upstream => true,
            };
            if !may_join && !fill.has_place(&order.source) {
                return None;
            }
            fill.add_place(&order.source);
            return Some((fill.clone(), false));
        }
        let fill = Arc::new(Fill::new(&order.source));
        running.insert(order.digest, fill.clone());
        drop(running);
        self.inner.metrics.fills.inc();
        let run = Run {
            proxy: self.clone(),
            fill: fill.clone(),
            order,
        };
        tokio::spawn(run.conclude());
        Some((fill, true))
    }

    /// Stops all fills, keeping their bytes for the next start, and waits for them.
    pub async fn shutdown(&self) {
        self.inner.fills.stopping.send_replace(true);
        let running: Vec<_> = self.inner.fills.lock().values().cloned().collect();
        for fill in running {
            // An error would mean that it is gone altogether.
            _ = fill.done.subscribe().wait_for(|done| *done).await;
        }
    }
}
